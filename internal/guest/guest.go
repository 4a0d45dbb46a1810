// Package guest finds out which virtual machine, container or pod a process
// belongs to: from the arguments of virtual machine monitors and from cgroups.
package guest

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// FromArgs returns the name of the virtual machine that a process with these
// arguments runs, or false if it is no monitor that is known, or one that was not
// given a name. Known are QEMU, Cloud Hypervisor, Firecracker and crosvm.
func FromArgs(args []string) (string, bool) {
	if len(args) == 0 {
		return "", false
	}
	program := path.Base(args[0])
	switch {
	case strings.HasPrefix(program, "qemu-system-"), program == "qemu-kvm", program == "kvm", program == "qemu":
		return qemuName(args[1:])
	case program == "cloud-hypervisor":
		return cloudHypervisorName(args[1:])
	case program == "firecracker":
		return first(option(args[1:], "--id"), socketName(option(args[1:], "--api-sock")), baseName(option(args[1:], "--config-file")))
	case program == "crosvm":
		return first(option(args[1:], "--name"), socketName(option(args[1:], "--socket")), socketName(option(args[1:], "-s")))
	}
	return "", false
}

// qemuName returns QEMU's -name, which is a name or a list of properties with
// guest= among them, or else -uuid or -id. Options have one dash or two.
func qemuName(args []string) (string, bool) {
	either := func(name string) string {
		if value := option(args, "-"+name); value != "" {
			return value
		}
		return option(args, "--"+name)
	}
	name := property(either("name"), "guest")
	return first(name, either("uuid"), either("id"))
}

// cloudHypervisorName returns the name of the API socket's file: Cloud Hypervisor
// has no name for a machine.
func cloudHypervisorName(args []string) (string, bool) {
	return first(socketName(property(option(args, "--api-socket"), "path")))
}

// option returns the value of "name value" or "name=value" among args, the last
// one as the monitors do it.
func option(args []string, name string) string {
	value := ""
	for i, arg := range args {
		if arg == name && i+1 < len(args) {
			value = args[i+1]
		} else if rest, ok := strings.CutPrefix(arg, name+"="); ok {
			value = rest
		}
	}
	return value
}

// property returns the property of that name in a list such as
// "guest=web,debug-threads=on", or its first member if that has no name. In such
// lists two commas stand for one.
func property(list, name string) string {
	const comma = "\x00"
	members := strings.Split(strings.ReplaceAll(list, ",,", comma), ",")
	value := ""
	for i, member := range members {
		key, rest, named := strings.Cut(member, "=")
		switch {
		case named && key == name:
			value = rest
		case !named && i == 0:
			value = member
		}
	}
	return strings.ReplaceAll(value, comma, ",")
}

// socketName returns the name of a socket's file, or of its folder where the
// file has a name that says nothing.
func socketName(file string) string {
	name := baseName(file)
	switch name {
	case "api", "clh", "clh-api", "firecracker", "crosvm", "socket", "sock", "vmm", "ch":
		return path.Base(path.Dir(file))
	}
	return name
}

// baseName returns the last element of a path without its extension.
func baseName(file string) string {
	if file == "" {
		return ""
	}
	base := path.Base(file)
	return strings.TrimSuffix(base, path.Ext(base))
}

func first(names ...string) (string, bool) {
	for _, name := range names {
		if name != "" && name != "." && name != "/" {
			return name, true
		}
	}
	return "", false
}

// Cgroup returns the path of a process's control group in the unified hierarchy,
// as the process wrote it, or nothing where there is none. Dir is the process's
// directory in /proc.
func Cgroup(dir string) string {
	content, err := os.ReadFile(filepath.Join(dir, "cgroup"))
	if err != nil {
		return ""
	}
	for line := range bytes.Lines(content) {
		if path, ok := bytes.CutPrefix(line, []byte("0::")); ok {
			return string(bytes.TrimSuffix(path, []byte{'\n'}))
		}
	}
	return ""
}

// FromCgroup returns the name of the machine, container or pod that a cgroup is
// of, or false. The path is that of version 2, as in /proc/PID/cgroup behind
// "0::". Known are libvirt, Proxmox VE, systemd-nspawn, Kubernetes, Docker,
// Podman and LXC.
func FromCgroup(cgroup string) (string, bool) {
	elements := strings.Split(strings.Trim(cgroup, "/"), "/")
	for i, element := range elements {
		unit := unescape(strings.TrimSuffix(strings.TrimSuffix(element, ".scope"), ".slice"))
		switch {
		case i > 0 && elements[i-1] == "qemu.slice" && allDigits(unit): // Proxmox VE: qemu.slice/100.scope
			return unit, true
		case strings.HasPrefix(unit, "machine-"):
			return first(machineName(unit))
		case strings.HasPrefix(element, "kubepods") && strings.Contains(unit, "-pod"): // systemd driver
			return "pod " + strings.ReplaceAll(unit[strings.LastIndex(unit, "-pod")+len("-pod"):], "_", "-"), true
		case strings.HasPrefix(element, "pod") && i > 0 && strings.HasPrefix(elements[0], "kubepods"): // cgroupfs driver
			return "pod " + strings.TrimPrefix(element, "pod"), true
		case strings.HasPrefix(unit, "docker-") && isID(unit[len("docker-"):]):
			return "docker " + short(unit[len("docker-"):]), true
		case i > 0 && elements[i-1] == "docker" && isID(element):
			return "docker " + short(element), true
		case strings.HasPrefix(unit, "libpod-") && isID(strings.TrimPrefix(unit[len("libpod-"):], "conmon-")):
			return "podman " + short(strings.TrimPrefix(unit[len("libpod-"):], "conmon-")), true
		case strings.HasPrefix(element, "lxc.payload."):
			return "lxc " + strings.TrimPrefix(element, "lxc.payload."), true
		case i > 0 && elements[i-1] == "lxc" && element != "":
			return "lxc " + element, true
		}
	}
	return "", false
}

// machineName returns the name in a unit of systemd-machined: libvirt makes
// them machine-qemu-ID-NAME.
func machineName(unit string) string {
	name := strings.TrimPrefix(unit, "machine-")
	for _, driver := range []string{"qemu-", "lxc-"} {
		rest, ok := strings.CutPrefix(name, driver)
		if id, after, cut := strings.Cut(rest, "-"); ok && cut && allDigits(id) && after != "" {
			return after
		}
	}
	return name
}

// unescape undoes systemd's escaping in the names of units: \x2d for a dash.
func unescape(unit string) string {
	var b strings.Builder
	for i := 0; i < len(unit); i++ {
		if strings.HasPrefix(unit[i:], `\x`) && i+4 <= len(unit) {
			if c, err := strconv.ParseUint(unit[i+2:i+4], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(unit[i])
	}
	return b.String()
}

func allDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// isID reports whether s is the id of a container: 64 hexadecimal digits.
func isID(s string) bool { return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == "" }

func short(id string) string { return id[:12] }
