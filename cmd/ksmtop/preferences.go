package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/config"
	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
)

// preferences are what the screen keeps from one run to the next.
func preferences(s *model.State) []config.Setting {
	return []config.Setting{
		{
			Name: "sort", Comment: "the column that sorts processes: ksmtop -s help lists them",
			Get: func() string { return s.Column.Name },
			Set: func(v string) error {
				c := model.ColumnByName(v)
				if c == nil {
					return errors.New("no such column")
				}
				s.Column = c
				return nil
			},
		},
		yesNo("invert", "sort the other way round: yes or no", &s.Inverted),
		yesNo("all", "list also processes that take no part in KSM: yes or no", &s.All),
		yesNo("tree", "show the tree of processes: yes or no", &s.Tree),
		{
			Name: "group", Comment: "groups of processes: " + strings.Join(model.Groupings[:], ", "),
			Get: func() string { return model.Groupings[s.Group] },
			Set: func(v string) error {
				i := slices.Index(model.Groupings[:], v)
				if i < 0 {
					return errors.New("no such groups")
				}
				s.Group = model.Grouping(i)
				return nil
			},
		},
		{
			Name: "theme", Comment: "colours: " + strings.Join(model.Themes, ", "),
			Get: func() string { return s.Theme },
			Set: func(v string) error {
				if !slices.Contains(model.Themes, v) {
					return errors.New("no such theme")
				}
				s.Theme = v
				return nil
			},
		},
		{
			Name: "delay", Comment: "time between two samples",
			Get: func() string { return s.Delay.String() },
			Set: func(v string) error {
				d, err := model.ParseDelay(v)
				if err == nil && (d < shortestDelay || d > time.Hour) {
					err = fmt.Errorf("must be from %v to 1h", shortestDelay)
				}
				if err == nil {
					s.Delay = d
				}
				return err
			},
		},
	}
}

func yesNo(name, comment string, b *bool) config.Setting {
	return config.Setting{
		Name: name, Comment: comment,
		Get: func() string {
			if *b {
				return "yes"
			}
			return "no"
		},
		Set: func(v string) error {
			if v != "yes" && v != "no" {
				return errors.New("must be yes or no")
			}
			*b = v == "yes"
			return nil
		},
	}
}

// prefer gives s the kept preferences, and then what the command line says. The
// file that it returns saves what the user changes from now on. An error is
// about the file, and s can be used all the same.
func (t *top) prefer(cmd *cobra.Command, s *model.State) (*config.File, error) {
	s.Theme = t.screen.theme
	path := ""
	if !t.screen.noConfig {
		path = config.Path(os.Getenv)
	}
	file, err := config.Load(path, preferences(s))
	flags := cmd.Flags()
	if flags.Changed("sort") {
		s.Column, s.Inverted = t.column, false
	}
	if flags.Changed("tree") {
		s.Tree, s.Group = t.tree, model.NoGroups
	}
	if flags.Changed("theme") {
		s.Theme = t.screen.theme
	}
	if flags.Changed("delay") {
		s.Delay = time.Duration(t.delay)
	}
	file.Start()
	return file, err
}
