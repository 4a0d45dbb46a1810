package ksmd

// Event is one thing that the daemon did. Fields that say nothing are 0.
type Event struct {
	Kind    Kind
	Process Process
	Index   uint64 // of the page in the process
	Node    Node
	Count   int // ScanBegan and ScanEnded: items; NodeGone: items it had; Advised: pages_to_scan
	Percent int // Advised: of a CPU
}

// Kind says what happened.
type Kind uint8

// What can happen to the daemon's work as a whole, to a process, to a page, and to
// a KSM page.
const (
	ScanBegan Kind = iota
	ScanEnded
	Advised // the advisor set pages_to_scan

	Registered
	Unregistered

	Skipped   // smart scan passed over the page
	Changed   // its checksum is new: looked at again in the next scan
	Zeroed    // it became the zero page
	Unshared  // it had no equal, and went into the unstable tree
	GaveUp    // a search met this page, which had vanished or was the page itself
	Attached  // its mapping belongs to the KSM page Node now
	Detached  // that is over: it was written to or unmapped
	Failed    // it could not be merged
	Undecided // it is Attached, but the kernel may take it for attached already
	Dropped   // it is tracked no more

	NodeGone  // the page of Node was freed by all who mapped it
	ChainMade // Node's content got a second KSM page
	ChainGone // it has one KSM page only, Node, or none
)

var kindNames = [...]string{
	ScanBegan: "scan began", ScanEnded: "scan ended", Advised: "advised",
	Registered: "registered", Unregistered: "unregistered",
	Skipped: "skipped", Changed: "changed", Zeroed: "zero page", Unshared: "unshared",
	GaveUp: "gave up", Attached: "attached", Detached: "detached", Failed: "failed", Undecided: "undecided", Dropped: "dropped",
	NodeGone: "node gone", ChainMade: "chain made", ChainGone: "chain gone",
}

// String returns the name of k.
func (k Kind) String() string { return kindNames[k] }

func (d *Daemon) event(e Event) {
	if d.observe != nil {
		d.observe(e)
	}
}
