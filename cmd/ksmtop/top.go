package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/report"
)

// top is ksmtop without a command: the screen, or samples as text or JSON.
type top struct {
	*common
	batch, json bool
	count       int
	delay       seconds
	fields      string
	sortBy      string
	pids, user  string
	tree        bool
	sim         string

	screen screenFlags

	filter model.Filter
	column *model.Column
}

func (t *top) flags(cmd *cobra.Command) {
	t.delay = seconds(2 * time.Second)
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVarP(&t.batch, "batch", "b", false, "print samples as blocks of text")
	f.BoolVar(&t.json, "json", false, "print samples as JSON, one object a line")
	f.IntVarP(&t.count, "iterations", "n", 0, "end after `N` samples; 0 is never")
	f.VarP(&t.delay, "delay", "d", "`TIME` between two samples, as 500ms or 2s; a plain number is seconds")
	f.StringVarP(&t.fields, "fields", "o", "", "what -b shows: `FIELD,...`; help lists them")
	f.StringVarP(&t.pids, "pid", "p", "", "only these processes: `PID,...`")
	f.StringVarP(&t.user, "user", "u", "", "only the processes of `USER`")
	f.StringVarP(&t.filter.Text, "filter", "F", "", "only processes with `TEXT` in pid, user or command; a|b is one of two")
	f.BoolVarP(&t.tree, "tree", "t", false, "begin with the tree of processes on the screen")
	f.StringVarP(&t.sortBy, "sort", "s", "profit", "sort processes by `COLUMN`; help lists them")
	f.StringVar(&t.sim, "sim", "", "show a simulated machine instead: `NAME` is a preset of `ksmtop sim --list`, a scenario's .toml or a page .script; -d is virtual time")
	_ = cmd.RegisterFlagCompletionFunc("sim", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return completePresets()
	}) // which fails only for a flag that is not there
	t.screen.register(f)
}

func (t *top) run(cmd *cobra.Command, _ []string) error {
	out := cmd.OutOrStdout()
	if t.fields == "help" || t.sortBy == "help" {
		return report.FieldList(out)
	}
	if err := t.parse(); err != nil {
		return usage(err)
	}
	if !isTerminal(out) && !t.batch && !t.json {
		t.batch = true
		if t.count == 0 {
			t.count = 1
		}
	}
	switch {
	case t.sim == "" && cmd.Flags().Changed("sim"):
		return usage(errors.New("--sim: no name of a scenario or script; `ksmtop sim --list` lists the presets"))
	case t.sim != "" && (t.fsys.Root != "" || t.fsys.Proc != ""):
		return usage(errors.New("--sim excludes --sysfs and --procfs"))
	case t.batch || t.json:
		return t.samples(cmd)
	case t.sim != "" && t.count > 0:
		return usage(errors.New("-n with --sim is for -b and --json: on the screen a simulation has no end"))
	}
	return t.runScreen(cmd)
}

const shortestDelay = 10 * time.Millisecond

func (t *top) parse() error {
	var err error
	switch {
	case t.json && t.fields != "":
		return errors.New("--json shows all fields: it takes no -o")
	case t.count < 0:
		return errors.New("-n must not be negative")
	case time.Duration(t.delay) < shortestDelay:
		return fmt.Errorf("-d must be at least %v", shortestDelay)
	}
	if t.column = model.ColumnByName(t.sortBy); t.column == nil {
		return fmt.Errorf("-s: %q: no such column; -s help lists them", t.sortBy)
	}
	if t.pids != "" {
		if t.filter.PIDs, err = model.ParsePIDs(t.pids); err != nil {
			return fmt.Errorf("-p: %w", err)
		}
	}
	if t.user != "" {
		t.filter.HasUID = true
		if t.filter.UID, err = model.ParseUser(t.user); err != nil {
			return fmt.Errorf("-u: %w", err)
		}
	}
	return t.screen.check()
}

// samples writes samples to standard output until there are enough, or until a
// signal comes or the reader goes away: always whole ones.
func (t *top) samples(cmd *cobra.Command) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	write := report.JSON
	if !t.json {
		var names []string
		if t.fields != "" {
			names = strings.Split(t.fields, ",")
		}
		batch, err := report.NewBatch(names)
		if err != nil {
			return usage(err)
		}
		write = batch.Write
	}
	if t.sim != "" {
		return t.simSamples(cmd, write)
	}
	live, err := t.live()
	if err != nil {
		return err
	}
	defer live.Close()
	live.Want(model.Wants{All: len(t.filter.PIDs) > 0})
	ctx, stop := untilSignal(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	tick := time.NewTicker(time.Duration(t.delay))
	defer tick.Stop()
	var s model.Sample
	for i := 1; ; i++ {
		live.Read(&s)
		if i == 1 {
			if err := t.checkPIDs(&s); err != nil {
				return err
			}
		}
		s.Rows = t.filter.Keep(s.Rows)
		model.Sort(s.Rows, t.column, false)
		if err := write(out, &s); err != nil || i == t.count {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// checkPIDs returns an error for a process that -p names and that is not there.
func (t *top) checkPIDs(s *model.Sample) error {
	for _, pid := range t.filter.PIDs {
		if slices.ContainsFunc(s.Rows, func(r model.Row) bool { return r.PID == pid }) {
			continue
		}
		if _, err := os.Stat(t.fsys.ProcPath(strconv.Itoa(pid))); err == nil {
			return hinted{fmt.Errorf("-p %d: it has no memory of its own", pid), "threads of the kernel and zombies have nothing to merge"}
		}
		return hinted{fmt.Errorf("-p %d: no such process", pid), "a process that ends later only disappears from the table"}
	}
	return nil
}
