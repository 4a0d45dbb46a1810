package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/internal/guest"
	"github.com/ksmtop/ksmtop/sysfs"
)

// targetFlags say which memory a scan reads.
type targetFlags struct {
	pids     string
	children int
	user     string
	cgroup   string
	vm       string
	all      bool
}

func (f *targetFlags) register(flags *pflag.FlagSet) {
	flags.StringVarP(&f.pids, "pid", "p", "", "these processes: `PID,...`")
	flags.IntVar(&f.children, "children", 0, "the process `PID` and all that descend from it")
	flags.StringVarP(&f.user, "user", "u", "", "the processes of `USER`")
	flags.StringVar(&f.cgroup, "cgroup", "", "the processes of the cgroup `PATH` and below it")
	flags.StringVar(&f.vm, "vm", "", "the virtual machine `NAME`")
	flags.BoolVar(&f.all, "all", false, "all processes")
}

// candidate is a process that a scan may read, with what it can be grouped by.
type candidate struct {
	sysfs.Process

	dir    string // in /proc
	placed bool   // place is known
	place  place
}

// place is where a process belongs. To find it takes as long as all else that is
// known of a process, and few scans need it.
type place struct {
	cgroup string
	vm     string // of the machine or container it runs; empty for none
}

func (m *candidate) cgroup() string { m.findPlace(); return m.place.cgroup }
func (m *candidate) vm() string     { m.findPlace(); return m.place.vm }

func (m *candidate) findPlace() {
	if m.placed {
		return
	}
	m.placed = true
	m.place.cgroup = guest.Cgroup(m.dir)
	if args, err := os.ReadFile(filepath.Join(m.dir, "cmdline")); err == nil {
		m.place.vm, _ = guest.FromArgs(strings.Split(strings.TrimRight(string(args), "\x00"), "\x00"))
	}
	if m.place.vm == "" {
		m.place.vm, _ = guest.FromCgroup(m.place.cgroup)
	}
}

// choose returns the processes that the flags name. A name that fits none is
// an error: it is mistyped.
func (f *targetFlags) choose(fsys sysfs.FS) ([]candidate, error) {
	var pids []int
	var err error
	if f.pids != "" {
		if pids, err = model.ParsePIDs(f.pids); err != nil {
			return nil, usage(fmt.Errorf("-p: %w", err))
		}
	}
	only := pids
	if *f != (targetFlags{pids: f.pids}) {
		only = nil
	}
	all, err := listProcesses(fsys, only)
	if err != nil {
		return nil, err
	}
	chosen := make(map[int]bool)
	take := func(what string, fits func(*candidate) bool) error {
		found := false
		for i := range all {
			if fits(&all[i]) {
				chosen[all[i].PID], found = true, true
			}
		}
		if !found {
			return hinted{fmt.Errorf("%s: no process fits", what), "`ksmtop scan --all --by process`, or another --by, lists what there is"}
		}
		return nil
	}
	for _, pid := range pids {
		if err := take(fmt.Sprintf("-p %d", pid), func(m *candidate) bool { return m.PID == pid }); err != nil {
			return nil, err
		}
	}
	if f.children != 0 {
		family := descendants(all, f.children)
		if err := take(fmt.Sprintf("--children %d", f.children), func(m *candidate) bool { return family[m.PID] }); err != nil {
			return nil, err
		}
	}
	if f.user != "" {
		uid, err := model.ParseUser(f.user)
		if err != nil {
			return nil, usage(fmt.Errorf("-u: %w", err))
		}
		if err := take("-u "+f.user, func(m *candidate) bool { return m.UID == uid }); err != nil {
			return nil, err
		}
	}
	if f.cgroup != "" {
		root := "/" + strings.Trim(strings.TrimPrefix(f.cgroup, "/sys/fs/cgroup"), "/")
		if err := take("--cgroup "+f.cgroup, func(m *candidate) bool { return below(m.cgroup(), root) }); err != nil {
			return nil, err
		}
	}
	if f.vm != "" {
		if err := take("--vm "+f.vm, func(m *candidate) bool { return m.vm() == f.vm }); err != nil {
			return nil, err
		}
	}
	if f.all {
		self := os.Getpid()
		if err := take("--all", func(m *candidate) bool { return m.PID != self }); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(all, func(m candidate) bool { return !chosen[m.PID] }), nil
}

// any reports whether the flags name processes at all.
func (f *targetFlags) any() bool {
	return f.pids != "" || f.children != 0 || f.user != "" || f.cgroup != "" || f.vm != "" || f.all
}

// listProcesses lists the processes that have memory: all, or only some, if that is
// not nil.
func listProcesses(fsys sysfs.FS, only []int) ([]candidate, error) {
	reader, err := fsys.NewProcessReader()
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	reader.All, reader.Only = true, slices.Clone(only)
	slices.Sort(reader.Only)
	var list sysfs.Processes
	if err := reader.Read(&list); err != nil {
		return nil, err
	}
	found := make([]candidate, len(list.List))
	for i, p := range list.List {
		found[i] = candidate{Process: p, dir: fsys.ProcPath(strconv.Itoa(p.PID))}
	}
	return found, nil
}

// below reports whether a cgroup is root or lies below it.
func below(cgroup, root string) bool {
	return root == "/" && cgroup != "" || cgroup == root || strings.HasPrefix(cgroup, root+"/")
}

// descendants returns the process root and all that descend from it.
func descendants(all []candidate, root int) map[int]bool {
	children := make(map[int][]int)
	exists := false
	for i := range all {
		children[all[i].PPID] = append(children[all[i].PPID], all[i].PID)
		exists = exists || all[i].PID == root
	}
	family := make(map[int]bool)
	if !exists {
		return family
	}
	queue := []int{root}
	for len(queue) > 0 {
		pid := queue[0]
		queue = queue[1:]
		if !family[pid] {
			family[pid] = true
			queue = append(queue, children[pid]...)
		}
	}
	return family
}
