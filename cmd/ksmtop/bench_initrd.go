package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
)

// guestInit is the first process of a guest: 20 MiB of its own, then nothing.
const guestInit = `#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox dd if=/dev/urandom of=/own bs=1M count=20 2>/dev/null
echo %s
while :; do /bin/busybox sleep 1000; done
`

// writeInitrd writes an initial file system with busybox and guestInit.
func writeInitrd(name, busybox, ready string) error {
	program, err := os.ReadFile(busybox)
	if err != nil {
		return pathError(err)
	}
	const directory, executable = 0o40755, 0o100755
	var archive cpio
	for _, dir := range []string{"bin", "dev"} {
		archive.add(dir, directory, nil)
	}
	archive.add("bin/busybox", executable, program)
	archive.add("init", executable, fmt.Appendf(nil, guestInit, ready))
	archive.add("TRAILER!!!", 0, nil)
	file, err := os.Create(name)
	if err != nil {
		return pathError(err)
	}
	defer file.Close() // once more than needed, unless something fails
	z := gzip.NewWriter(file)
	if _, err := z.Write(archive.Bytes()); err != nil {
		return pathError(err)
	}
	if err := z.Close(); err != nil {
		return pathError(err)
	}
	return file.Close()
}

// cpio is an archive in the format of the kernel's initial file systems ("newc",
// Documentation/driver-api/early-userspace/buffer-format.rst).
type cpio struct {
	bytes.Buffer
	files int
}

func (c *cpio) add(name string, mode int, content []byte) {
	c.files++
	c.WriteString("070701")
	const links, unused = 1, 0
	for _, n := range []int{
		c.files, mode, unused, unused, links, unused, len(content),
		unused, unused, unused, unused, len(name) + 1, unused,
	} {
		fmt.Fprintf(c, "%08x", n)
	}
	c.WriteString(name)
	c.WriteByte(0)
	c.pad()
	c.Write(content)
	c.pad()
}

// pad fills up to a multiple of 4 bytes.
func (c *cpio) pad() {
	for c.Len()%4 != 0 {
		c.WriteByte(0)
	}
}
