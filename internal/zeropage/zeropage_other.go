//go:build !linux

package zeropage

import "errors"

func mapped() (bool, error) { return false, errors.ErrUnsupported }
