package ksmd_test

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/ksmtop/ksmtop/scanner/ksmd"
	"github.com/ksmtop/ksmtop/sysfs"
)

func set(t *testing.T, d *ksmd.Daemon, f sysfs.Field, text string) {
	t.Helper()
	if err := d.Set(f, text); err != nil {
		t.Fatal(err)
	}
}

// The numbers are those of a real kernel of which a pipe held five pages of ten
// pairs. Whichever of the two is held, the
// pair waits until it is let go.
func TestPinnedPagesMergeWhenReleased(t *testing.T) {
	for _, held := range []string{"first", "second"} {
		t.Run(held, func(t *testing.T) {
			var pages [][]byte
			for i := range 20 {
				pages = append(pages, page(byte(1+i%10)))
			}
			m := newStill(pages)
			for i := range uint64(5) {
				if held == "second" {
					i += 10
				}
				m.pinned[i] = true
			}
			d := ksmd.New(m, ksmd.Options{})
			d.Register(0)
			set(t, d, sysfs.Run, "1")
			set(t, d, sysfs.SmartScan, "0")
			check := func(shared, sharing, unshared, volatile int) {
				t.Helper()
				c := d.Counters()
				got := [4]int{int(c.PagesShared), int(c.PagesSharing), int(c.PagesUnshared), int(c.PagesVolatile)}
				if want := [4]int{shared, sharing, unshared, volatile}; got != want {
					t.Fatalf("after scan %d shared, sharing, unshared, volatile are %v, want %v", c.FullScans, got, want)
				}
			}
			d.Scan()
			check(0, 0, 0, 20)
			for range 3 {
				d.Scan()
				check(5, 5, 5, 5)
			}
			clear(m.pinned)
			d.Scan()
			check(10, 10, 0, 0)
		})
	}
}

func TestSetRefusesWhatTheKernelDoes(t *testing.T) {
	m := newStill([][]byte{page('a'), page('a')})
	d := ksmd.New(m, ksmd.Options{})
	d.Register(0)
	set(t, d, sysfs.Run, "1")
	d.Scan()
	set(t, d, sysfs.MaxPageSharing, "3") // nothing is merged yet
	d.Scan()
	for _, tt := range []struct {
		f    sysfs.Field
		text string
		want error
	}{
		{sysfs.MaxPageSharing, "4", syscall.EBUSY},
		{sysfs.MaxPageSharing, "3", nil},
		{sysfs.MergeAcrossNodes, "0", syscall.EBUSY},
		{sysfs.MergeAcrossNodes, "1", nil},
		{sysfs.PagesToScan, "7", nil},
		{sysfs.AdvisorMode, "scan-time", nil},
		{sysfs.PagesToScan, "7", syscall.EINVAL},
	} {
		if err := d.Set(tt.f, tt.text); !errors.Is(err, tt.want) {
			t.Errorf("Set(%s, %q) = %v, want %v", tt.f, tt.text, err, tt.want)
		}
	}
	var bad *sysfs.ValueError
	if err := d.Set(sysfs.MaxPageSharing, "1"); !errors.As(err, &bad) {
		t.Errorf("max_page_sharing 1: %v", err)
	}
	if k := d.Knobs(); k.MaxPageSharing != 3 || k.PagesToScan != 500 {
		t.Errorf("max_page_sharing is %d and pages_to_scan %d, want 3 and the advisor's 500", k.MaxPageSharing, k.PagesToScan)
	}
}

// A scan of 4 seconds where 2 are wished: half the pages, at first damped, as the
// advisor computes it; switched off, 100.
func TestAdvisorFollowsTheClock(t *testing.T) {
	var now, cpu time.Duration
	m := newStill([][]byte{page('a'), page('b')})
	d := ksmd.New(m, ksmd.Options{Clock: ksmd.Clock{
		Now: func() time.Duration { now += 2 * time.Second; return now },
		CPU: func() time.Duration { cpu += 400 * time.Millisecond; return cpu },
	}})
	d.Register(0)
	set(t, d, sysfs.Run, "1")
	set(t, d, sysfs.AdvisorTargetScanTime, "2")
	set(t, d, sysfs.AdvisorMode, "scan-time")
	if got := d.Knobs().PagesToScan; got != 500 {
		t.Fatalf("pages_to_scan is %d when the advisor begins, want 500", got)
	}
	d.Scan() // it takes 2 s, at 20 %: no change, times 30 % smoothed, at least 500/20*10
	if got := d.Knobs().PagesToScan; got != 250 {
		t.Errorf("pages_to_scan is %d after the first scan, want 250", got)
	}
	set(t, d, sysfs.AdvisorMode, "none")
	if got := d.Knobs().PagesToScan; got != 100 {
		t.Errorf("pages_to_scan is %d without the advisor, want 100", got)
	}
}

// A scan in which nothing changes takes the quick way past most pages, also where
// contents are told to be alike.
func TestSteadyScansAreSwept(t *testing.T) {
	var pages [][]byte
	for i := range 1000 {
		p := page(0)
		p[0], p[1] = byte(i%700), byte(i%700>>8)
		pages = append(pages, p)
	}
	d := ksmd.New(newStill(pages), ksmd.Options{Alike: func(c ksmd.Content) bool { return c%3 == 0 }})
	d.Register(0)
	set(t, d, sysfs.Run, "1")
	set(t, d, sysfs.SmartScan, "0")
	set(t, d, sysfs.PagesToScan, "1000000")
	for range 3 {
		d.Scan()
	}
	before, scanned := d.Swept(), d.Counters().PagesScanned
	for range 2 {
		d.Scan()
	}
	swept := d.Swept() - before
	if c := d.Counters(); c.PagesSharing != 300 || c.PagesScanned != scanned+2000 || swept < 1500 {
		t.Errorf("%d pages are merged, %d visited and %d of them swept, want 300, 2000 and most",
			c.PagesSharing, c.PagesScanned-scanned, swept)
	}
}
