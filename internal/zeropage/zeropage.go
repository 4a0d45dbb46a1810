// Package zeropage tells how the kernel answers a read of memory that nobody has
// written to.
package zeropage

import "sync"

var known struct {
	sync.Mutex
	is     bool
	mapped bool
}

// Mapped reports whether the kernel maps its zero page where private anonymous
// memory is read before it was written to, as nearly all do. Without, such a read
// makes a page of zeros like any other. So it is in guests of PVM that were booted
// with pvm_no_zero_page, and on s390 in processes that run virtual machines with
// storage keys (mm_forbids_zeropage). The error says that the kernel does not tell.
func Mapped() (bool, error) {
	known.Lock()
	defer known.Unlock()
	if known.is {
		return known.mapped, nil
	}
	yes, err := mapped()
	known.is, known.mapped = err == nil, yes
	return yes, err
}
