package scenario

import (
	"embed"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

//go:embed presets/*.toml
var presets embed.FS

// ErrNoPreset reports that there is no preset of a name.
var ErrNoPreset = errors.New("no such preset")

// PresetInfo is a preset in a list.
type PresetInfo struct {
	Name  string
	Title string
}

// Presets returns the presets, by name.
func Presets() []PresetInfo {
	var list []PresetInfo
	for _, name := range presetNames() {
		s, err := Preset(name)
		if err != nil {
			panic("scenario: a preset is not a good scenario: " + err.Error())
		}
		list = append(list, PresetInfo{name, s.Title})
	}
	return list
}

func presetNames() []string {
	entries, err := presets.ReadDir("presets")
	if err != nil {
		panic("scenario: the presets are not embedded: " + err.Error())
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".toml"))
	}
	slices.Sort(names) // files are sorted with their suffix
	return names
}

// Preset returns the preset of a name, or an error that is ErrNoPreset.
func Preset(name string) (*Scenario, error) {
	text, err := PresetText(name)
	if err != nil {
		return nil, err
	}
	return Parse(name+".toml", text)
}

// PresetText returns the file of a preset, with the comments that say where its
// figures come from.
func PresetText(name string) ([]byte, error) {
	text, err := presets.ReadFile(path.Join("presets", name+".toml"))
	if err != nil || strings.ContainsAny(name, "/\\") {
		return nil, fmt.Errorf("%q: %w", name, ErrNoPreset)
	}
	return text, nil
}
