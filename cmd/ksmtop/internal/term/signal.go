package term

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

// notify asks for the signals that concern the terminal. SIGTSTP is not among
// them: once asked for, it never stops the process again, for signal.Reset
// leaves the Go runtime's handler in place. In raw mode Ctrl-Z is a key anyway;
// kill -TSTP stops the process as it is, and SIGCONT repairs the terminal.
func notify(c chan<- os.Signal) {
	signal.Notify(c, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGCONT)
}

// stopSelf stops the process group as Ctrl-Z does outside raw mode, and returns
// when it is continued. The kernel does not stop a group without a shell to
// continue it; then stopSelf returns after a second, and the result is false.
func stopSelf() (continued bool) {
	cont := make(chan os.Signal, 1)
	signal.Notify(cont, syscall.SIGCONT)
	defer signal.Stop(cont)

	if err := syscall.Kill(0, syscall.SIGTSTP); err != nil {
		return false
	}
	timeout := time.NewTimer(time.Second) // of running, not of being stopped
	defer timeout.Stop()
	select {
	case <-cont:
		return true
	case <-timeout.C:
		return false
	}
}
