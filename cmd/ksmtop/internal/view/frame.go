package view

import (
	"strconv"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
)

// Smallest sizes of the forms of the screen.
const (
	leastWidth, leastHeight = 20, 5  // nothing below that
	smallWidth, smallHeight = 60, 16 // the small form below that
	wideWidth               = 120    // two columns from there
)

// isSmall reports whether a screen of that size has the small form.
func isSmall(w, h int) bool { return w < smallWidth || h < smallHeight }

// screen is what one view looks like.
type screen struct {
	// draw draws the view between the tabs and the message, small does so in
	// the small form of the screen.
	draw, small func(c *Canvas, s *model.State)

	// rows and smallRows return how many rows of the view's list these show in
	// w times h cells. Nil for views without a list.
	rows, smallRows func(w, h int, s *model.State) int
}

// screens has a screen for each view.
var screens = [...]screen{
	model.Overview:  {drawOverview, drawSmallOverview, overviewRows, smallOverviewRows},
	model.Processes: {drawProcesses, drawSmallProcesses, processesRows, smallProcessesRows},
	model.VMAs:      {drawVMAs, drawSmallVMAs, vmasRows, smallVMAsRows},
	model.Sharing:   {drawSharing, drawSmallSharing, sharingRows, smallSharingRows},
	model.WhatIf:    {drawWhatIf, drawSmallWhatIf, whatIfRows, smallWhatIfRows},
	model.Simulator: {drawSimulator, drawSmallSimulator, simulatorRows, smallSimulatorRows},
	model.EventList: {drawLog, drawSmallLog, logRows, smallLogRows},
}

// Draw draws the whole screen on a canvas that was cleared. It changes neither s
// nor anything else, and what it draws depends on s and the canvas's size and
// glyphs only.
//
//	row 0         where the data comes from, the time, how often, as whom
//	row 1         the views
//	              the view
//	last but one  a message, and below a rule more lines of it
//	last          keys, or what is being typed
//
// The small form has no row 1.
func Draw(c *Canvas, s *model.State) {
	w, h := c.Size()
	if w < leastWidth || h < leastHeight {
		drawTooSmall(c)
		return
	}
	body := bodyOf(c, s)
	v := s.Current()
	switch {
	case s.Sample == nil:
		drawSource(c, s)
		c.Text(1, 2, Dim, "reading...")
	case isSmall(w, h):
		drawSmallStatus(c, s)
		if why := s.Missing(); why != "" {
			drawMissing(body, v, why)
		} else if v.NeedsKSM && s.NoKSM() {
			drawSmallNoKSM(body, s)
		} else {
			screens[v.ID].small(body, s)
		}
	default:
		drawStatus(c, s)
		drawTabs(c, 1, s)
		if why := s.Missing(); why != "" {
			drawMissing(body, v, why)
		} else if v.NeedsKSM && s.NoKSM() {
			drawNoKSM(body, s)
		} else {
			screens[v.ID].draw(body, s)
		}
	}
	if d := s.Dialog(); d != nil {
		drawDialog(c, d, s)
	}
	drawMessage(c, h-2, s)
	drawFooter(c, h-1, s)
}

// bodyOf returns the part of the screen that the view has to itself.
func bodyOf(c *Canvas, s *model.State) *Canvas {
	w, h := c.Size()
	top := 2
	if isSmall(w, h) {
		top = 1
	}
	c.g.body = c.Sub(0, top, w, bodyHeight(w, h, s))
	return &c.g.body
}

// bodyHeight returns how many lines a view has on a screen of w times h cells.
func bodyHeight(w, h int, s *model.State) int {
	rows := h - 4
	if isSmall(w, h) {
		rows = h - 3
	}
	if s.Dialog() == nil {
		rows -= messageRows(w, h, s)
	}
	return rows
}

// Fit tells s how much of it a screen of w times h cells shows. It comes before
// Draw.
func Fit(w, h int, s *model.State) {
	if w < leastWidth || h < leastHeight {
		return
	}
	if d := s.Dialog(); d != nil {
		fitDialog(w, h, d, s)
	}
	rows := screens[s.View].rows
	if isSmall(w, h) {
		rows = screens[s.View].smallRows
	}
	if rows == nil || s.Sample == nil || s.Missing() != "" || s.Current().NeedsKSM && s.NoKSM() {
		return
	}
	s.Fit(rows(w, bodyHeight(w, h, s), s))
}

// drawMissing says why a view has nothing to show of a simulated machine.
func drawMissing(c *Canvas, v *model.View, why string) {
	w, _ := c.Size()
	c.Title(0, 0, w, v.Name, "")
	for i, line := range wrap(why, w-2) {
		c.TextIn(1, 1+i, w-2, Normal, line)
	}
}

func drawTooSmall(c *Canvas) {
	w, h := c.Size()
	need := "need " + strconv.Itoa(leastWidth) + "x" + strconv.Itoa(leastHeight)
	have := "have " + strconv.Itoa(w) + "x" + strconv.Itoa(h)
	p := c.pen(0, 0)
	if len(need)+len(have)+2 <= w || h < 2 {
		p.text(Normal, need).part().text(Normal, ", ").text(Normal, have)
		return
	}
	p.text(Normal, need)
	p = c.pen(0, 1)
	p.text(Normal, have)
}
