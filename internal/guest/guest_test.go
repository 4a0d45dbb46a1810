package guest

import (
	"strings"
	"testing"
)

// The argument lists are those that the programs named start monitors with,
// shortened by what does not matter.
func TestFromArgs(t *testing.T) {
	tests := []struct {
		name, args, want string
	}{
		{"none", "", ""},
		{"no monitor", "/usr/bin/redis-server *:6379", ""},
		{"libvirt", "/usr/bin/qemu-system-x86_64 -name guest=web-03,debug-threads=on -S -uuid 5d1f5e7a-8f0b-4d6c-9b1e-0c1d2e3f4a5b -m size=4194304k", "web-03"},
		{"by hand", "qemu-system-x86_64 -accel tcg -name guest=vm1 -m 256 -nographic", "vm1"},
		{"plain name", "qemu-system-aarch64 -name router -m 512", "router"},
		{"two dashes", "qemu-kvm --name db --enable-kvm", "db"},
		{"process property first", "qemu-system-x86_64 -name process=x,guest=inner", "inner"},
		{"comma in the name", "qemu-system-x86_64 -name guest=a,,b,debug-threads=on", "a,b"},
		{"proxmox", "/usr/bin/kvm -id 100 -name ubuntu,debug-threads=on -no-shutdown -chardev socket,id=qmp,path=/var/run/qemu-server/100.qmp", "ubuntu"},
		{"only a uuid", "qemu-system-x86_64 -uuid 5d1f5e7a-8f0b-4d6c-9b1e-0c1d2e3f4a5b", "5d1f5e7a-8f0b-4d6c-9b1e-0c1d2e3f4a5b"},
		{"kata with qemu", "/opt/kata/bin/qemu-system-x86_64 -name sandbox-4f8a2c,debug-threads=on -uuid 1", "sandbox-4f8a2c"},
		{"qemu without a name", "qemu-system-x86_64 -m 512", ""},
		{"name is missing", "qemu-system-x86_64 -name", ""},
		{"cloud-hypervisor", "cloud-hypervisor --api-socket path=/run/vms/alpha.sock --cpus boot=2 --memory size=1G,mergeable=on", "alpha"},
		{"cloud-hypervisor, plain", "/usr/local/bin/cloud-hypervisor --api-socket /tmp/beta.sock", "beta"},
		{"kata with cloud-hypervisor", "cloud-hypervisor --api-socket /run/vc/vm/3b5c9d/clh-api.sock", "3b5c9d"},
		{"cloud-hypervisor, nothing", "cloud-hypervisor --kernel vmlinux", ""},
		{"firecracker", "/usr/bin/firecracker --id fn-7f3a --api-sock /run/firecracker.socket", "fn-7f3a"},
		{"firecracker, socket", "firecracker --api-sock /srv/vms/gamma/firecracker.socket", "gamma"},
		{"firecracker, config", "firecracker --no-api --config-file vm_config.json", "vm_config"},
		{"crosvm", "crosvm run --name=termina --mem 2048 -s /run/vm/x.sock /opt/vmlinux", "termina"},
		{"crosvm, socket", "crosvm run -s /run/vm/arcvm.sock", "arcvm"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := FromArgs(strings.Fields(tt.args))
			if got != tt.want || ok != (tt.want != "") {
				t.Errorf("FromArgs(%q) = %q, %v, want %q", tt.args, got, ok, tt.want)
			}
		})
	}
}

func TestFromCgroup(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	tests := []struct {
		name, cgroup, want string
	}{
		{"root", "/", ""},
		{"session", "/user.slice/user-1000.slice/session-2.scope", ""},
		{"service", "/system.slice/ssh.service", ""},
		{"libvirt", `/machine.slice/machine-qemu\x2d1\x2dweb\x2d03.scope/libvirt/emulator`, "web-03"},
		{"libvirt lxc", `/machine.slice/machine-lxc\x2d2\x2dbox.scope`, "box"},
		{"nspawn", "/machine.slice/machine-debian.scope/payload", "debian"},
		{"proxmox", "/qemu.slice/100.scope", "100"},
		{"kubernetes, systemd", "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod2a5c_11.slice/cri-containerd-" + id + ".scope", "pod 2a5c-11"},
		{"kubernetes, cgroupfs", "/kubepods/besteffort/pod2a5c-11/" + id, "pod 2a5c-11"},
		{"docker, systemd", "/system.slice/docker-" + id + ".scope", "docker 0123456789ab"},
		{"docker, cgroupfs", "/docker/" + id, "docker 0123456789ab"},
		{"podman", "/machine.slice/libpod-" + id + ".scope/container", "podman 0123456789ab"},
		{"lxc", "/lxc.payload.box/init.scope", "lxc box"},
		{"proxmox lxc", "/lxc/101/ns", "lxc 101"},
		{"broken escape", `/machine.slice/machine-a\x2.scope`, `a\x2`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := FromCgroup(tt.cgroup)
			if got != tt.want || ok != (tt.want != "") {
				t.Errorf("FromCgroup(%q) = %q, %v, want %q", tt.cgroup, got, ok, tt.want)
			}
		})
	}
}

// Whatever a process calls itself, the answer is a part of it and nothing breaks.
func FuzzNames(f *testing.F) {
	f.Add("qemu-system-x86_64 -name guest=a,,b", "/qemu.slice/1.scope")
	f.Add("firecracker --id", `/machine.slice/machine-\x`)
	f.Fuzz(func(t *testing.T, args, cgroup string) {
		if name, ok := FromArgs(strings.Split(args, " ")); ok && name == "" {
			t.Errorf("FromArgs(%q) is an empty name", args)
		}
		FromCgroup(cgroup)
	})
}
