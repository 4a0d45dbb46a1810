package census

import "context"

// Copied is a content of which there are at least two copies.
type Copied struct {
	Fingerprint uint64 // the leading Census.FingerprintBits; the others are 0
	Copies      uint64
}

// Copied appends the contents with copies, other than the zero page, of the
// partitions from that number on to dst, until it holds at least most. It returns
// the partition at which to go on, or false if that was the last one. No worker
// may be adding. The error is that of ctx.
func (c *Census) Copied(ctx context.Context, dst []Copied, partition uint64, most int) (_ []Copied, next uint64, more bool, err error) {
	heavies := c.heavies()
	k := counter{census: c, table: newTable(c.multiplier, false)}
	for ; partition < 1<<c.partitionBits && len(dst) < most; partition++ {
		if !k.fill(ctx, partition, heavies) {
			return dst, partition, true, ctx.Err()
		}
		for _, content := range k.table.contents {
			if content.copies > 1 {
				dst = append(dst, Copied{c.fingerprint(partition, content.key), content.copies})
			}
		}
	}
	return dst, partition, partition < 1<<c.partitionBits, nil
}
