package model

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"syscall"

	"github.com/ksmtop/ksmtop/sim"
	"github.com/ksmtop/ksmtop/sim/scenario"
	"github.com/ksmtop/ksmtop/sysfs"
)

// Sim is the view of the simulator: a machine A that is simulated, its knobs, and
// perhaps a machine B with other knobs beside it.
type Sim struct {
	List           // of the knobs
	Open    bool   // there is a machine
	Opening string // what is being read to become one

	Shot SimShot

	// Knobs are A's as they are now, or will be as soon as the machine has
	// obeyed. Later has those that take effect only when it begins anew.
	Knobs sysfs.Knobs
	Later map[sysfs.Field]string

	A, B SimTrack

	undo     [][]sysfs.Setting
	commands []SimCommand
	asked    int // how many commands were given so far
	run      int // of the sample taken last
}

// SimKnobs are the knobs of the simulator, in the order of its list: those that are
// changed most come first.
var SimKnobs = [...]sysfs.Field{
	sysfs.PagesToScan, sysfs.SleepMillisecs, sysfs.SmartScan, sysfs.UseZeroPages, sysfs.AdvisorMode,
	sysfs.AdvisorTargetScanTime, sysfs.AdvisorMaxCPU, sysfs.AdvisorMinPagesToScan, sysfs.AdvisorMaxPagesToScan,
	sysfs.MaxPageSharing, sysfs.StableNodeChainsPruneMillisecs, sysfs.MergeAcrossNodes, sysfs.Run,
}

func simulatorView() View {
	return View{
		ID: Simulator, Name: "Simulator", Short: "Sim", About: "a machine that does not exist, whose knobs can be tried out",
		Keys: Keymap{Own: []Binding{
			{[]string{"Space"}, "Space", "Run", "let time go on, or stop it", simCommand(SimCommand{Kind: SimToggle}), stands},
			{[]string{"."}, ".", "Step", "go on for one batch of ksmd, or one operation of a script", simCommand(SimCommand{Kind: SimBatch}), stands},
			{[]string{"f"}, "f", "", "go on to the end of a full scan", simCommand(SimCommand{Kind: SimScan}), stands},
			{[]string{"+", "="}, "+ =", "", "faster: up to 3600 times real time, then as fast as possible", simCommand(SimCommand{Kind: SimFaster, By: 1}), withoutSim},
			{[]string{"-"}, "-", "", "slower", simCommand(SimCommand{Kind: SimFaster, By: -1}), withoutSim},
			{[]string{"Right", "l"}, "Right l", "", "the knob's next value", turnKnob(1), withoutSim},
			{[]string{"Left"}, "Left", "", "the value before", turnKnob(-1), withoutSim},
			{[]string{"Enter"}, "Enter", "Type", "type the knob's value", (*State).askSimKnob, withoutSim},
			{[]string{"z"}, "z", "Undo", "put back the knob that was changed last", (*State).undoSimKnob, withoutSimUndo},
			{[]string{"b"}, "b", "Compare", "a second machine B with other knobs, beside A", (*State).chooseB, withoutB},
			{[]string{"r"}, "r", "Restart", "begin anew with the knobs as they are now", (*State).restartSim, withoutSim},
			{[]string{"P"}, "P", "Propose", "list what A's knobs would change on the real machine, to write it or not", (*State).proposeSim, withoutProposal},
			{[]string{"c"}, "c", "", "close the simulated machine", (*State).closeSim, withoutClosing},
		}},
		list: func(s *State) *List { return &s.Sim.List },
	}
}

// simBindings are the keys of any view that lead to simulated machines.
func simBindings() []Binding {
	return []Binding{
		{[]string{"o"}, "o", "", "open a simulated machine: a scenario or a page script", (*State).chooseSim, nil},
		{[]string{"S"}, "S", "", "all views of the simulated machine, or of the real one again", (*State).switchSource, withoutOther},
	}
}

func withoutSim(s *State) string {
	if !s.Sim.Open {
		return "nothing is simulated: o opens a machine"
	}
	return ""
}

// stands says why time does not go on.
func stands(s *State) string {
	switch {
	case !s.Sim.Open:
		return withoutSim(s)
	case s.Sim.Shot.Over && s.Sim.Shot.Script:
		return "the script has ended: r begins anew"
	case s.Sim.Shot.Over:
		return "that was a year: r begins anew"
	}
	return ""
}

func withoutSimUndo(s *State) string {
	switch {
	case !s.Sim.Open:
		return withoutSim(s)
	case len(s.Sim.undo) == 0:
		return "no knob was changed from here"
	}
	return ""
}

func withoutB(s *State) string {
	switch {
	case !s.Sim.Open:
		return withoutSim(s)
	case s.Sim.Shot.Script:
		return "a page script sets its knobs itself: there is nothing to compare"
	}
	return ""
}

func withoutProposal(s *State) string {
	if s.Sim.Open && s.Sim.Shot.Script {
		return "a page script has the knobs of an experiment, which are not for real machines"
	}
	return withoutSim(s)
}

func withoutClosing(s *State) string {
	if s.onlySim {
		return "ksmtop was started with --sim: o opens another machine"
	}
	return withoutSim(s)
}

// SimCommands returns what was asked of the simulated machines since the last call.
func (s *State) SimCommands() []SimCommand {
	commands := s.Sim.commands
	s.Sim.commands = nil
	return commands
}

func (s *State) askSim(c SimCommand) {
	s.Sim.asked++
	s.Sim.commands = append(s.Sim.commands, c)
}

func simCommand(c SimCommand) func(*State) Command {
	return func(s *State) Command {
		s.askSim(c)
		return Nothing
	}
}

// OpenSim has a scenario or a page script opened, and shows it.
func (s *State) OpenSim(name string) Command {
	if !s.Sim.Open && !s.Simulated() {
		s.other.listLike(s.machine)
	}
	s.Sim.Opening = name
	s.askSim(SimCommand{Kind: SimOpen, Name: name})
	if s.View != Simulator {
		return s.Enter(Simulator)
	}
	return Nothing
}

// chooseSim lists what can be simulated.
func (s *State) chooseSim() Command {
	d := &Dialog{Title: "Simulate", Text: []string{"Guests, ksmd and time are simulated. Nothing here changes this machine."}}
	d.Items = append(d.Items, Item{Text: "a file: a scenario or a page script", do: (*State).askSimFile})
	usual := 0
	for _, p := range scenario.Presets() {
		if p.Name == usualScenario {
			usual = len(d.Items)
		}
		d.Items = append(d.Items, Item{
			Text: fmt.Sprintf("%-16s %s", p.Name, p.Title),
			do:   func(s *State) Command { return s.OpenSim(p.Name) },
		})
	}
	s.Open(d)
	d.Choose(usual)
	return Nothing
}

// usualScenario is what most people want to see first.
const usualScenario = "same-os"

// longestPath is how many characters of a path can be typed.
const longestPath = 1000

func (s *State) askSimFile() Command {
	return s.ask(&Prompt{
		Label: "File: ", most: longestPath,
		Hint: []string{"a .toml or a .script", "docs/scenario.md and docs/pagescript.md describe them"},
		done: func(s *State, text string) (Command, error) { return s.OpenSim(text), nil },
	})
}

func (s *State) closeSim() Command {
	s.askSim(SimCommand{Kind: SimClose})
	s.Sim.Open, s.Sim.Opening = false, ""
	s.Sim.undo, s.Sim.Later = nil, nil
	s.Sim.SetLen(0)
	if s.Simulated() {
		s.showSource(LiveSource)
	}
	return Nothing
}

// TakeSim takes news of the simulated machines in, and returns the sample before,
// if there is one more that is free now.
func (s *State) TakeSim(u *SimUpdate) (before *Sample) {
	m := &s.Sim
	opening := m.Opening != ""
	m.takeShot(&u.Shot)
	if u.Sample != nil {
		if m.run != u.Shot.Run {
			m.run = u.Shot.Run
			before = s.latestOf(SimSource)
			s.forgetSimulated()
		}
		if b := s.TakeFrom(SimSource, u.Sample); b != nil {
			before = b
		}
	}
	if u.Err != nil {
		m.Opening = ""
		s.Message = u.Err.Error()
		s.refusedKnob(u)
		return before
	}
	if opening && m.Opening == "" && m.Open {
		m.undo, m.Later = nil, nil // they were another machine's
		s.faceOpened()
	}
	return before
}

// faceOpened has all views show the machine that was opened, unless the user is
// about to answer a question about another one.
func (s *State) faceOpened() {
	switch {
	case s.Simulated():
	case s.Dialog() == nil && s.Prompt == nil:
		s.showSource(SimSource)
		s.Message = "all views are of the simulated machine now; S leads back to the real one"
	default:
		s.Message = "the simulated machine is there: S shows it in all views"
	}
}

// latestOf returns the latest sample of a machine, or nil.
func (s *State) latestOf(source Source) *Sample {
	if s.front == source {
		return s.latest
	}
	return s.other.latest
}

// takeShot takes in how the machines are now.
func (m *Sim) takeShot(shot *SimShot) {
	if shot.Name == "" { // it is closed
		m.Open = false
		m.SetLen(0)
		return
	}
	if !m.Open || m.Shot.Run != shot.Run {
		m.A.reset()
		m.B.reset()
	}
	if m.Opening != "" && shot.Obeyed >= m.asked {
		m.Opening = ""
	}
	m.Open, m.Shot = true, *shot
	m.SetLen(len(SimKnobs))
	if shot.Obeyed >= m.asked {
		m.Knobs = shot.A.Reading.Knobs
	}
	m.A.add(shot.A.point())
	if shot.HasB {
		m.B.add(shot.B.point())
	} else {
		m.B.reset()
	}
}

// point is what is charted of a side. B may be a little behind.
func (a *SimSide) point() SimPoint {
	p := SimPoint{At: a.Reading.Time.Sub(sim.Epoch), Net: math.NaN(), Percent: math.NaN()}
	if a.HasSavings {
		p.Net = float64(a.Savings.NetBytes)
	}
	if a.HasPercent {
		p.Percent = a.Percent
	}
	return p
}

// refusedKnob keeps a setting that the machine refuses while it runs for the next
// beginning. It is no step to undo, and one that was to undo a step has taken that
// off the list itself.
func (s *State) refusedKnob(u *SimUpdate) {
	m := &s.Sim
	if u.Refused == nil {
		return
	}
	m.Knobs = u.Shot.A.Reading.Knobs
	f := u.Refused.Field
	for i := len(m.undo) - 1; i >= 0 && !u.Undo; i-- {
		if m.undo[i][0].Field == f {
			m.undo = slices.Delete(m.undo, i, i+1)
			break
		}
	}
	if !errors.Is(u.Err, syscall.EBUSY) || m.Shot.Script {
		return
	}
	if m.Later == nil {
		m.Later = make(map[sysfs.Field]string)
	}
	m.Later[f] = u.Refused.Value
	s.Message = fmt.Sprintf("%s cannot change while pages are merged: r begins anew with %s", f, u.Refused.Value)
}

// settings returns A's knobs as they are now and will be.
func (m *Sim) settings() []sysfs.Setting {
	list := SettingsOf(m.Knobs)
	for i := range list {
		if later, ok := m.Later[list[i].Field]; ok {
			list[i].Value = later
		}
	}
	return list
}

// SettingsOf returns the settings with which a machine begins with these knobs, as
// far as it has them.
func SettingsOf(k sysfs.Knobs) []sysfs.Setting {
	var list []sysfs.Setting
	for _, f := range SimKnobs {
		if f == sysfs.PagesToScan && k.AdvisorMode != sysfs.AdvisorNone {
			continue // the advisor begins with its own
		}
		if v, ok := k.Value(f); ok {
			list = append(list, sysfs.Setting{Field: f, Value: v.String()})
		}
	}
	return list
}

// restartSim begins anew. A script sets its knobs itself.
func (s *State) restartSim() Command {
	c := SimCommand{Kind: SimRestart}
	if !s.Sim.Shot.Script {
		c.Settings = s.Sim.settings()
	}
	s.Sim.Later = nil
	s.askSim(c)
	return Nothing
}

// chooseB asks what B shall be.
func (s *State) chooseB() Command {
	compare := func(what string, other []sysfs.Setting) func(*State) Command {
		return func(s *State) Command {
			s.askSim(SimCommand{Kind: SimCompare, Settings: s.Sim.settings(), Other: other, What: what})
			s.Sim.Later = nil
			return Nothing
		}
	}
	d := &Dialog{Title: "Compare", Text: []string{"Both machines begin anew, A with its knobs as they are now. Knobs that change from then on are A's."}}
	d.Items = []Item{
		{Text: "B has A's knobs as they are now", do: compare("A's knobs before", s.Sim.settings())},
		{Text: "B has the kernel's defaults", do: compare("the kernel's defaults", defaultSettings())},
		{Text: "no B", do: simCommand(SimCommand{Kind: SimAlone})},
	}
	if !s.Sim.Shot.HasB {
		d.Items[2].Why = "there is no B"
	}
	return s.Open(d)
}

// defaultSettings are the kernel's knobs at boot, but that ksmd runs.
func defaultSettings() []sysfs.Setting {
	var list []sysfs.Setting
	for _, f := range SimKnobs {
		value := f.Info().Default
		if f == sysfs.Run {
			value = "1"
		}
		list = append(list, sysfs.Setting{Field: f, Value: value})
	}
	return list
}

// proposeSim lists what A's knobs would change on the real machine.
func (s *State) proposeSim() Command {
	m := &s.Sim
	real := s.live()
	if scale := m.Shot.Scale; scale > 1 {
		s.Message = fmt.Sprintf("simulated with 1/%d of the memory: with all of it scans take as much longer", scale)
	}
	if s.onlySim || real == nil || real.NoKSM != nil {
		s.proposeText()
		return Nothing
	}
	var settings []sysfs.Setting
	for _, set := range m.settings() {
		var k sysfs.Knobs
		now, ok := real.Reading.Knobs.Value(set.Field)
		if !ok || k.Set(set.Field, set.Value) != nil {
			continue // this kernel has no such knob
		}
		if want, _ := k.Value(set.Field); want != now {
			settings = append(settings, set)
		}
	}
	if len(settings) == 0 {
		s.Message = "the real machine has these knobs already"
		return Nothing
	}
	if s.Kernel == nil || s.ReadOnly {
		s.Message = s.fixedKnobs()
		return Nothing
	}
	front := s.front
	s.showSource(LiveSource) // what is written is the real machine's
	command, err := s.propose("Write to the real machine?", false, settings...)
	if err != nil {
		s.showSource(front)
		s.Message = withAdvice(err)
		return Nothing
	}
	s.Enter(Overview)
	return command
}

// proposeText shows the commands that give another machine A's knobs, as far as
// they are not the kernel's defaults.
func (s *State) proposeText() {
	d := &Dialog{Title: "Propose", Text: []string{"There is no real machine here whose knobs could be compared. On one that has the kernel's defaults root gets these knobs by", ""}}
	var settings []sysfs.Setting
	for _, set := range s.Sim.settings() {
		if set.Value != set.Field.Info().Default {
			settings = append(settings, set)
		}
	}
	if len(settings) == 0 {
		d.Text = []string{"A has the kernel's defaults: there is nothing to write."}
	}
	slices.SortStableFunc(settings, func(a, b sysfs.Setting) int { return lastOf(a.Field) - lastOf(b.Field) })
	command := "ksmtop set"
	for _, set := range settings {
		command += " " + set.String()
	}
	if len(settings) > 0 {
		d.Text = append(d.Text, command, "", "or")
	}
	for _, set := range settings {
		d.Text = append(d.Text, fmt.Sprintf("echo %s > %s", set.Value, sysfs.FS{}.Path(set.Field)))
	}
	s.Open(d)
}

// lastOf orders writes: the advisor is switched on when it has all it needs, and
// ksmd then.
func lastOf(f sysfs.Field) int {
	switch f {
	case sysfs.AdvisorMode:
		return 1
	case sysfs.Run:
		return 2
	}
	return 0
}
