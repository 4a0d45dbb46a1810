package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ksmtop/ksmtop/cmd/ksmtop/internal/model"
)

// The programs that the tests start besides ksmtop. TestMain installs them in
// PATH.

// noHugePages is MADV_NOHUGEPAGE, which package unix has for Linux only.
const noHugePages = 15

// panicMain is ksmtop with a screen that panics: when the first sample is shown
// it has no column to sort by.
func panicMain() {
	t := &top{common: &common{}, sortBy: "profit", delay: 1e9, screen: screenFlags{theme: "dark"}}
	err := t.parse()
	if err == nil {
		state := model.NewState(time.Second)
		state.Theme, state.Column = "dark", nil
		err = t.show(context.Background(), state)
	}
	os.Exit(end(err, os.Stderr))
}

// workloadMain is a program with memory that can be merged:
//
//	ksm-workload EQUAL OWN ZERO [STATUS]
//
// It fills as many MiB with equal pages, with pages each of its own content,
// and with zeros, prints "ready", reads standard input to its end, and exits
// with STATUS.
func workloadMain() {
	var sizes [4]int
	for i, arg := range os.Args[1:min(len(os.Args), 5)] {
		var err error
		if sizes[i], err = strconv.Atoi(arg); err != nil {
			panic(err)
		}
	}
	equal, own, zero := sizes[0]<<20, sizes[1]<<20, sizes[2]<<20
	if total := equal + own + zero; total > 0 {
		mem, err := unix.Mmap(-1, 0, total, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		if err != nil {
			panic(err)
		}
		_ = unix.Madvise(mem, noHugePages) // a kernel without huge pages refuses
		page := os.Getpagesize()
		for at := 0; at < total; at += page {
			switch {
			case at < equal:
				copy(mem[at:], "the same in all pages")
			case at < equal+own:
				copy(mem[at:], fmt.Sprintf("page %d of process %d", at/page, os.Getpid()))
			default:
				mem[at] = 0 // present, but still zero
			}
		}
		defer func() { mem[0] = 0 }() // it is in use to the end
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(sizes[3])
}

// signalsMain prints the signals that it gets, until SIGTERM.
func signalsMain() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT,
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGCONT)
	fmt.Println("ready")
	for s := range signals {
		fmt.Println(unix.SignalName(s.(syscall.Signal)))
		if s == syscall.SIGTERM {
			os.Exit(3)
		}
	}
}

// scansMain counts up the full_scans of a copied tree, whose path it gets,
// until it is killed:
//
//	scans FILE
func scansMain() {
	file, err := os.OpenFile(os.Args[1], os.O_WRONLY, 0)
	if err != nil {
		panic(err)
	}
	for n := uint64(1000000); ; n++ {
		// In one write, over what was there: readers see whole numbers.
		if _, err := file.WriteAt(fmt.Appendln(nil, n), 0); err != nil {
			panic(err)
		}
		time.Sleep(time.Millisecond)
	}
}
