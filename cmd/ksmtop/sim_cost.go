package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/report"
	"github.com/ksmtop/ksmtop/sim"
)

// costFile is what `bench --calibrate --save` writes, and --cost reads: the CPU time
// that ksmd's work takes on a machine. docs/bench.md describes it.
type costFile struct {
	Schema int       `json:"schema"`
	Time   string    `json:"time,omitempty"`
	Kernel string    `json:"kernel,omitempty"`
	CPU    string    `json:"cpu,omitempty"`
	HZ     int       `json:"hz"`
	Costs  sim.Costs `json:"costs"`
}

// readCosts reads the file of --cost. Without a name it returns the defaults.
func readCosts(name string) (costFile, error) {
	if name == "" {
		return costFile{Costs: sim.DefaultCosts()}, nil
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return costFile{}, pathError(err)
	}
	var f costFile
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&f); err != nil {
		return costFile{}, badCosts(name, jsonWanted(err))
	}
	if f.Schema != report.Schema {
		return costFile{}, badCosts(name, fmt.Sprintf("schema %d: must be %d", f.Schema, report.Schema))
	}
	if f.HZ < 1 || f.HZ > 1000 {
		return costFile{}, badCosts(name, fmt.Sprintf("hz: %d: must be from 1 to 1000", f.HZ))
	}
	if err := f.Costs.Check(); err != nil {
		return costFile{}, badCosts(name, "costs: "+err.Error())
	}
	if missing := missingCosts(content); len(missing) > 0 {
		return costFile{}, badCosts(name, "costs: there is no "+strings.Join(missing, ", "))
	}
	return f, nil
}

// missingCosts returns what a file of costs does not have, as one of an older version: it
// would cost nothing.
func missingCosts(content []byte) []string {
	var f struct {
		Costs map[string]json.RawMessage `json:"costs"`
	}
	var all map[string]json.RawMessage
	if json.Unmarshal(content, &f) != nil {
		return nil // which it was asked before
	}
	text, err := json.Marshal(sim.DefaultCosts())
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		panic("the costs cannot be written: " + err.Error())
	}
	for name := range f.Costs {
		delete(all, name)
	}
	return slices.Sorted(maps.Keys(all))
}

// jsonWanted says what is wrong with the text of a file of costs.
func jsonWanted(err error) string {
	if errors.Is(err, io.EOF) {
		return "the file is empty"
	}
	wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return strings.TrimPrefix(err.Error(), "json: ")
	}
	want := "must be a whole number"
	switch wrong.Type.Kind() {
	case reflect.String:
		want = "must be a text in quotes"
	case reflect.Struct:
		want = "must be an object"
	}
	if wrong.Field == "" { // it is about all of it
		return want
	}
	return wrong.Field + ": " + want
}

func badCosts(name, reason string) error {
	return usage(hinted{fmt.Errorf("%s: %s", name, reason), "`ksmtop bench --calibrate --save FILE` writes such a file"})
}

// apply puts the costs into options.
func (f *costFile) apply(o *sim.HostOptions) { o.Costs, o.HZ = f.Costs, f.HZ }

// newCostFile says where and when costs were measured.
func newCostFile(kernel, cpu string, hz int, costs sim.Costs) costFile {
	return costFile{report.Schema, time.Now().UTC().Format(time.RFC3339), kernel, cpu, hz, costs}
}

// text is what is in the file.
func (f *costFile) text() ([]byte, error) {
	content, err := json.MarshalIndent(f, "", "\t")
	if err != nil {
		return nil, fmt.Errorf("costs: %w", err)
	}
	return append(content, '\n'), nil
}
