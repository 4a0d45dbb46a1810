package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/report"
	"github.com/ksmtop/ksmtop/sysfs"
)

const capabilityNeeded = report.Capability

// common are the flags of every command.
type common struct {
	fsys sysfs.FS
}

func newRoot() *cobra.Command {
	c := &common{}
	t := &top{common: c}
	root := &cobra.Command{
		Use:   "ksmtop",
		Short: "Show what kernel samepage merging (KSM) saves and costs",
		Long: `ksmtop shows what KSM, the kernel's merging of equal memory pages, saves and
costs on this machine and which processes gain. Without a command it opens the
screen; where standard output is not a terminal it prints one block of text.

Looking needs no privilege and changes nothing. Root, or the capability
` + capabilityNeeded + `, also shows other users' processes.`,
		Example: `  ksmtop                      the screen
  ksmtop status               the same in words
  ksmtop -b -n 5 -d 2         five samples as text, two seconds apart
  ksmtop --json -n 1          one sample for programs`,
		Version:           version(),
		Args:              cobra.NoArgs,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
		RunE:              t.run,
	}
	root.Flags().BoolP("version", "V", false, "print the version")
	root.SetVersionTemplate("ksmtop {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(flagError(err)) })
	all := root.PersistentFlags()
	all.StringVar(&c.fsys.Root, "sysfs", "", "`DIR` that stands for /sys")
	all.StringVar(&c.fsys.Proc, "procfs", "", "`DIR` that stands for /proc")
	all.SortFlags = false
	t.flags(root)
	root.AddCommand(newStatus(c), newSet(c), newRun(c), newWait(c), newScan(c), newLab(c), newSim(), newBench(c), newMan())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "completion": // without a shell cobra is content with printing help
			cmd.RunE = func(*cobra.Command, []string) error {
				return usage(errors.New("completion needs a shell: bash, zsh, fish or powershell"))
			}
		case "help": // so it is with an unknown command
			cmd.Run, cmd.RunE = nil, func(cmd *cobra.Command, args []string) error {
				about, rest, err := cmd.Root().Find(args)
				if err != nil || about == cmd.Root() && len(rest) > 0 {
					return usage(fmt.Errorf("unknown command %q", args[0]))
				}
				return about.Help()
			}
		}
	}
	wrapArgs(root)
	return root
}

// wrapArgs makes wrong arguments of every command a mistake of usage.
func wrapArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usage(err)
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		wrapArgs(sub)
	}
}

// flagError says in words what the value of a flag must be. What reads the numbers of
// flags says it in its own: "strconv.ParseInt: parsing ...".
func flagError(err error) error {
	invalid, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err
	}
	number, ok := errors.AsType[*strconv.NumError](invalid.Unwrap())
	if !ok {
		return err
	}
	before := strings.TrimSuffix(invalid.Error(), invalid.Unwrap().Error())
	return errors.New(before + numberWanted(number))
}

// numberWanted says what a number must be that was none, or too large.
func numberWanted(e *strconv.NumError) string {
	tooLarge := errors.Is(e.Err, strconv.ErrRange)
	switch {
	case e.Func == "ParseBool":
		return "must be true or false"
	case e.Func == "ParseUint":
		return fmt.Sprintf("must be a whole number from 0 to %d", uint64(math.MaxUint64))
	case e.Func == "ParseFloat" && tooLarge:
		return fmt.Sprintf("must be at most %.2g", math.MaxFloat64)
	case e.Func == "ParseFloat":
		return "must be a number"
	case tooLarge:
		return fmt.Sprintf("must be at most %d", math.MaxInt64)
	}
	return "must be a whole number"
}

// version returns the version of the module as it was built.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// check returns an error if a flag names a directory that is not there.
func (c *common) check() error {
	if err := c.fsys.Check(); err != nil {
		return hinted{err, "--sysfs and --procfs take a directory that stands for /sys or /proc"}
	}
	return nil
}

// live opens this machine, or the trees that the flags name.
func (c *common) live() (*model.Live, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return model.NewLive(c.fsys)
}

// isTerminal reports whether f is a terminal.
func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// seconds is a flag: a Go duration, or a plain number of seconds.
type seconds time.Duration

func (s *seconds) String() string { return time.Duration(*s).String() }
func (s *seconds) Type() string   { return "time" }

func (s *seconds) Set(text string) error {
	d, err := model.ParseDelay(text)
	*s = seconds(d)
	return err
}

// warn writes a line of cause and one of advice to standard error, without
// ending the program.
func warn(w io.Writer, cause, hint string) {
	fmt.Fprintf(w, "ksmtop: %s\nksmtop: hint: %s\n", cause, hint)
}
