package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/internal/text"
	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sim/scenario"
	"github.com/ksmtop/ksmtop/sysfs"
)

// simSpec is what a simulated machine is made from: a scenario or a page script.
type simSpec struct {
	scenario *scenario.Scenario // scaled
	script   *sim.Script        // if there is no scenario
	scale    int                // memory is divided by that, to fit
}

// maxScreenPages is how many pages the guests of a machine on the screen have at
// most at one time, 4 GiB, so that it takes 100 MB and answers keys at once.
const maxScreenPages = 1 << 20

// screenRoom returns how many pages a simulated machine may have here, where so
// much memory is available, in bytes. There may be two machines, and the rest of
// the computer needs memory too.
func screenRoom(available uint64) int64 {
	return int64(min(maxScreenPages, available/8/simPageCost))
}

// openSim reads the preset or the file of that name, and makes a scenario smaller
// until its guests have no more than room pages.
func openSim(name string, room int64) (*simSpec, error) {
	if _, err := scenario.PresetText(name); err != nil { // presets go before files of that name
		if err := checkFile(name); err != nil {
			return nil, err
		}
	}
	if strings.HasSuffix(name, scriptSuffix) {
		return openScript(name, room)
	}
	s, err := readScenario(nil, name)
	if _, isText := errors.AsType[*scenario.Error](err); isText {
		if spec, scriptErr := openScript(name, room); scriptErr == nil {
			return spec, nil
		}
		return nil, statusError{exitUsage, hinted{err, "docs/scenario.md describes scenarios, docs/pagescript.md page scripts, whose names end with " + scriptSuffix}}
	}
	if err != nil {
		return nil, err
	}
	spec := &simSpec{scenario: s, scale: 1}
	for peakPages(spec.scenario) > room {
		if spec.scale *= 2; spec.scale > 1<<20 {
			return nil, fmt.Errorf("%s: too little memory is available to simulate it", name)
		}
		spec.scenario = s.Scale(1 / float64(spec.scale))
	}
	return spec, nil
}

func peakPages(s *scenario.Scenario) int64 { return scenario.PeakPages(s.Plans(), false) }

// checkFile refuses what a screen would wait for without end: pipes, devices, and
// files that are far too large. A name may also be that of no file.
func checkFile(name string) error {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s: not a regular file", name)
	case info.Size() > maxScriptBytes:
		return fmt.Errorf("%s: larger than a scenario or a script can be, %d MiB", name, maxScriptBytes>>20)
	}
	return nil
}

// openScript reads a page script whose processes have no more than room pages at
// one time.
func openScript(name string, room int64) (*simSpec, error) {
	content, err := readLimited(name, nil)
	if err != nil {
		return nil, err
	}
	s, err := sim.Parse(name, content)
	if err != nil {
		return nil, statusError{exitUsage, hinted{err, "`ksmtop lab --help` lists the operations; nothing has run"}}
	}
	if pages := scriptPages(s); pages > room {
		return nil, hinted{fmt.Errorf("%s: its processes have %d pages at one time, and there is room for %d", name, pages, room), "`ksmtop lab` runs it nonetheless"}
	}
	return &simSpec{script: s, scale: 1}, nil
}

// scriptPages returns the most pages that the processes of a script have mapped at
// one time, without what is unmapped page by page.
func scriptPages(s *sim.Script) int64 {
	of := make(map[string]int64)
	now, most := int64(0), int64(0)
	for i := range s.Ops {
		switch op := &s.Ops[i]; op.Kind {
		case sim.OpMap:
			of[op.Process] += int64(op.Pages)
			now += int64(op.Pages)
		case sim.OpFork:
			of[op.Child] = of[op.Process]
			now += of[op.Process]
		case sim.OpExit:
			now -= of[op.Process]
		}
		most = max(most, now)
	}
	return most
}

// name returns what the machine is called, cleaned.
func (s *simSpec) name() string {
	if s.script != nil {
		return text.Clean(s.script.Name[strings.LastIndexByte(s.script.Name, '/')+1:])
	}
	return text.Clean(s.scenario.Name)
}

// machine returns the machine at its beginning, with some knobs set on top of its
// own.
func (s *simSpec) machine(knobs []sysfs.Setting) (simMachine, error) {
	if s.script != nil {
		return newScriptMachine(s.script, knobs)
	}
	host, err := sim.NewHost(s.scenario, sim.HostOptions{Knobs: knobs})
	if err != nil {
		return nil, err
	}
	return &hostMachine{host, s.scenario}, nil
}

// describe says what is simulated.
func (s *simSpec) describe(shot *model.SimShot) {
	shot.Name = s.name()
	shot.Scale = s.scale
	if s.script != nil {
		shot.Script = true
		shot.Title = "a page script of " + plural(len(s.script.Ops), "operation")
		return
	}
	shot.Title = text.Clean(s.scenario.Title)
	shot.Seed = s.scenario.Seed
	shot.Guests = len(s.scenario.Plans())
	shot.MemoryBytes = s.scenario.MemoryBytes
}
