package view

import (
	"errors"
	"strconv"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
	"github.com/ksmtop/ksmtop/sysfs"
)

// drawSmallStatus draws row 0 of the small form.
func drawSmallStatus(c *Canvas, s *model.State) {
	p := drawSource(c, s)
	if s.View != model.Overview {
		p.part().text(Selected, " ").text(Selected, s.Current().Short)
	}
	if isSim(s) {
		shot := &s.Sim.Shot
		p.part().text(Normal, " ").show(Normal, appendVirtual(p.line(), simNow(s)))
		p.part().text(Normal, " ").show(Normal, appendSpeed(p.line(), shot))
		p.part().text(Normal, " ").text(Normal, simState(shot))
		return
	}
	p.part().text(Normal, " ").clock(Normal, s.Sample.Time)
	p.part().text(Normal, " ").show(Normal, appendDelay(p.line(), s.Delay))
}

// drawSmallOverview draws the Overview on screens too small for panels: up to
// three lines of numbers, and the processes.
func drawSmallOverview(c *Canvas, s *model.State) {
	_, h := c.Size()
	switch s.Panel {
	case model.NoPanel:
	case model.TablePanel:
		drawSmallProcesses(c, s)
		return
	default:
		drawPanel(c, s)
		return
	}
	meters, rows := smallLayout(h)
	writeSmallSavings(c.pen(1, 0), s)
	if meters > 1 {
		writeSmallDaemon(c.pen(1, 1), s)
	}
	if meters > 2 {
		drawSpark(c, 2, "net", s, model.NetOf, &s.NetScale, nil)
	}
	drawSmallRows(c, meters, rows, s)
}

// drawSmallRows draws so many processes from line y on: number, profit and name.
func drawSmallRows(c *Canvas, y, rows int, s *model.State) {
	w, _ := c.Size()
	if len(s.Rows) == 0 {
		drawEmpty(c, y, s)
	}
	profit := model.ColumnByName("profit")
	for i := s.Top; i < min(s.Top+rows, len(s.Rows)); i++ {
		row := &s.Rows[i]
		p := c.pen(1, y+i-s.Top)
		role := rowRole(row, s)
		profitRole := role
		if row.Pays() {
			profitRole = Bad
		}
		if !row.Place.Head {
			p.right(1, 7, role, strconv.AppendInt(p.line(), int64(row.PID), 10))
		}
		p.right(9, 6, profitRole, profit.Cell(p.line(), row, s.Sample))
		at := 17 + min(row.Place.Depth, 8)
		c.TextIn(at, p.y, w-at, role, row.Name)
		drawTag(c, p.y, row, s)
		drawCursor(c, p.y, i, &s.Table.List)
	}
}

// smallLayout returns how many lines of numbers and of processes the small form
// of the Overview has in h lines.
func smallLayout(h int) (meters, rows int) {
	meters = min(3, max(1, h-1))
	return meters, h - meters
}

// smallOverviewRows returns how many processes that shows.
func smallOverviewRows(_, h int, s *model.State) int {
	if s.Panel != model.NoPanel {
		return max(1, h)
	}
	_, rows := smallLayout(h)
	return rows
}

func writeSmallSavings(p pen, s *model.State) {
	p.text(Normal, "saved ")
	if !s.Sample.HasSavings {
		p.text(Dim, noSavings(s))
		return
	}
	sum := &s.Sample.Savings
	role := Good
	if sum.NetBytes < 0 {
		role = Bad
	}
	p.short(Good, sum.SavedBytes)
	p.part().text(Normal, " net ").short(role, sum.NetBytes)
	if ratio, ok := s.Sample.Reading.Counters.Ratio(); ok {
		p.part().text(Normal, " x").fixed(Normal, ratio, 2)
	}
}

func writeSmallDaemon(p pen, s *model.State) {
	word, role := stateWord(s)
	p.text(Normal, "ksmd ").text(role, word)
	p.part().text(Normal, " ")
	p = writeCPU(p, &s.Sample.Rates)
	p.part().text(Normal, " ")
	writePass(p, s)
}

func drawSmallNoKSM(c *Canvas, s *model.State) {
	_, h := c.Size()
	p := c.pen(1, 0)
	if errors.Is(s.Sample.NoKSM, sysfs.ErrNotSupported) {
		p.text(Warn, "no KSM in this kernel")
		if h > 1 {
			p = c.pen(1, 1)
			p.text(Key, "o").text(Normal, " simulates a machine").part().text(Normal, " that has it")
		}
		return
	}
	p.text(Warn, "KSM cannot be read:")
	if h > 1 {
		paragraph(c, 1, Warn, s.Sample.NoKSM.Error())
	}
}
