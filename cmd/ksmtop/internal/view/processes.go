package view

import "github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"

// processesLayout returns how many lines of the view of processes are rows, and
// how many are notes.
func processesLayout(h int, s *model.State) (rows, below int) {
	below = min(notes(s), max(1, h/8))
	return max(1, h-tableTop-below), below
}

// processesRows returns how many processes the view shows in h lines.
func processesRows(_, h int, s *model.State) int {
	rows, _ := processesLayout(h, s)
	return rows
}

// drawProcesses draws the view of all columns of processes.
func drawProcesses(c *Canvas, s *model.State) {
	_, h := c.Size()
	rows, below := processesLayout(h, s)
	drawTable(c, s, rows, below)
}

// drawSmallProcesses draws it on screens too small for columns.
func drawSmallProcesses(c *Canvas, s *model.State) {
	_, h := c.Size()
	drawSmallRows(c, 0, h, s)
}

// smallProcessesRows returns how many processes that shows.
func smallProcessesRows(_, h int, _ *model.State) int { return max(1, h) }
