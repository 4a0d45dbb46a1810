package view

import (
	"errors"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/sysfs"
)

// drawNoKSM draws what is said in place of the meters where there is no KSM.
func drawNoKSM(c *Canvas, s *model.State) {
	w, _ := c.Size()
	c.Title(0, 0, w, "KSM", "")
	lines := append([]string{"KSM cannot be looked at here:"}, wrap(s.Sample.NoKSM.Error(), w-2)...)
	lines = append(lines, "", "It is tried again with each sample.")
	if errors.Is(s.Sample.NoKSM, sysfs.ErrNotSupported) {
		lines = []string{
			"This kernel has no /sys/kernel/mm/ksm:",
			"it was built without CONFIG_KSM, or a container hides it.",
			"Nothing can be merged here.",
			"",
			"These still work:",
			"  o       opens a simulated machine with the same views,",
			"          as does ksmtop --sim NAME",
			"  ksmtop --sysfs DIR --procfs DIR",
			"          shows files copied from another machine",
		}
		views := 0
		for i := range s.Views {
			if v := &s.Views[i]; !v.NeedsKSM && v.ID != model.EventList {
				y := 1 + len(lines) + views
				c.onKey(0, y, w, v.ID.Key())
				p := c.pen(3, y)
				p.text(Key, v.ID.Key()).text(Normal, "  ").text(Normal, v.Name).text(Normal, ": ").text(Normal, v.About)
				views++
			}
		}
	}
	for i, line := range lines {
		c.TextIn(1, 1+i, w-2, Normal, line)
	}
}
