//go:build !amd64

package fingerprint

// implementations returns what this machine can run, the fastest first.
func implementations() []implementation {
	return []implementation{generic}
}
