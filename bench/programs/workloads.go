//go:build linux

package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/ksmtop/ksmtop/bench/internal/measure"
)

// workload is a program to run several times.
type workload struct {
	name     string
	programs []string // what must be in PATH
	packages []string // Debian's, which have that

	prepare func(ctx context.Context, o *options) error               // once, or nil
	command func(o *options, instance int) []string                   // it stays
	ready   string                                                    // what it says when it has its data
	fill    func(ctx context.Context, o *options, instance int) error // behind ready, or nil
}

var workloads = []workload{
	{
		name: "redis", programs: []string{"redis-server", "redis-cli"}, packages: []string{"redis-server", "redis-tools"},
		command: func(o *options, i int) []string {
			return []string{"redis-server", "--port", "0", "--unixsocket", o.socket(i), "--save", "", "--appendonly", "no", "--enable-debug-command", "yes", "--dir", o.Dir}
		},
		ready: "eady to accept connections",
		fill:  fillRedis,
	},
	{
		name: "java", programs: []string{"java", "javac"}, packages: []string{"openjdk-17-jdk-headless"},
		prepare: func(ctx context.Context, o *options) error {
			return o.unpack(ctx, "Hold.java", "javac", "-d", o.Dir)
		},
		command: func(o *options, _ int) []string { return []string{"java", "-Xmx256m", "-cp", o.Dir, "Hold"} },
		ready:   "ready",
	},
	{
		name: "python3", programs: []string{"python3"}, packages: []string{"python3"},
		prepare: func(ctx context.Context, o *options) error { return o.unpack(ctx, "hold.py") },
		command: func(o *options, _ int) []string { return []string{"python3", filepath.Join(o.Dir, "hold.py")} },
		ready:   "ready",
	},
	{
		name: "node", programs: []string{"node"}, packages: []string{"nodejs"},
		prepare: func(ctx context.Context, o *options) error { return o.unpack(ctx, "hold.js") },
		command: func(o *options, _ int) []string { return []string{"node", filepath.Join(o.Dir, "hold.js")} },
		ready:   "ready",
	},
	{
		name: "qemu", programs: []string{"qemu-system-x86_64", "busybox", "cpio"}, packages: []string{"qemu-system-x86", "busybox-static", "cpio"},
		prepare: prepareGuest,
		command: func(o *options, i int) []string {
			return []string{"qemu-system-x86_64", "-accel", "tcg", "-name", fmt.Sprintf("guest=vm%d", i), "-m", "256", "-nographic", "-no-reboot",
				"-nodefaults", "-serial", "stdio", "-kernel", o.kernel, "-initrd", filepath.Join(o.Dir, "initrd"), "-append", "console=ttyS0 quiet no_timer_check"}
		},
		ready: "ready",
	},
}

//go:embed load
var load embed.FS

// unpack writes a file of load/ to the directory for files, and runs a command
// with its path as the last argument, if one is given.
func (o *options) unpack(ctx context.Context, name string, command ...string) error {
	content, err := load.ReadFile("load/" + name)
	if err != nil {
		return err
	}
	path := filepath.Join(o.Dir, name)
	if err := os.WriteFile(path, content, 0o755); err != nil || len(command) == 0 {
		return err
	}
	return measure.Run(ctx, nil, command[0], append(command[1:], path)...)
}

func (o *options) socket(instance int) string {
	return filepath.Join(o.Dir, fmt.Sprintf("redis%d", instance))
}

// fillRedis gives an instance 60 MB that all have and 40 MB of its own.
func fillRedis(ctx context.Context, o *options, instance int) error {
	for keys, prefix := range map[string]string{"120000": "key", "80000": fmt.Sprintf("own%d", instance)} {
		out, err := measure.Output(ctx, "redis-cli", "-s", o.socket(instance), "DEBUG", "POPULATE", keys, prefix, "400")
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(out, []byte("OK")) {
			return fmt.Errorf("redis-cli: %s", out)
		}
	}
	return nil
}

// prepareGuest finds a kernel and packs an initial file system with busybox and
// load/init in it.
func prepareGuest(ctx context.Context, o *options) error {
	if err := o.findKernel(ctx); err != nil {
		return err
	}
	if err := o.unpack(ctx, "init"); err != nil {
		return err
	}
	return measure.Run(ctx, nil, "sh", "-c", `cd "$1" && mkdir -p root/bin root/dev && cp init root/ && cp "$(command -v busybox)" root/bin/ &&
		cd root && find . | cpio -o -H newc --quiet | gzip -1 >../initrd`, "sh", o.Dir)
}

// findKernel sets o.kernel if it is not given.
func (o *options) findKernel(ctx context.Context) error {
	if o.kernel != "" {
		return nil
	}
	found, err := filepath.Glob("/boot/vmlinuz-*")
	if err == nil && len(found) == 0 && o.install {
		found, err = o.downloadKernel(ctx)
	}
	if err == nil && len(found) == 0 {
		err = errors.New("there is no kernel in /boot for the guests: see -kernel and -install")
	}
	if err != nil {
		return err
	}
	o.kernel = found[len(found)-1]
	return nil
}

// downloadKernel unpacks the package that Debian's linux-image-cloud-amd64 stands
// for.
func (o *options) downloadKernel(ctx context.Context) ([]string, error) {
	out, err := measure.Output(ctx, "apt-cache", "depends", "linux-image-cloud-amd64")
	if err != nil {
		return nil, err
	}
	_, rest, _ := strings.Cut(string(out), "Depends: ")
	name, _, found := strings.Cut(rest, "\n")
	if !found {
		return nil, fmt.Errorf("apt-cache depends linux-image-cloud-amd64: %q", out)
	}
	err = measure.Run(ctx, nil, "sh", "-c", `mkdir -p "$1/kernel" && cd "$1/kernel" && apt-get -q download "$2" && dpkg -x *.deb .`, "sh", o.Dir, name)
	if err != nil {
		return nil, err
	}
	return filepath.Glob(filepath.Join(o.Dir, "kernel/boot/vmlinuz-*"))
}
