package loop

// maxChunk is the largest buffer that is kept for reuse, and the unit in which output beyond it is staged.
const maxChunk = 128 << 10

// sizes are the capacities of the buffers that a loop keeps, and kept how many of each: 6 MiB in all.
var (
	sizes = [...]int{4 << 10, 16 << 10, 64 << 10, maxChunk}
	kept  = [...]int{256, 64, 32, 16}
)

// chunk is a buffer on its way: bytes wait in buf[r:].
type chunk struct {
	next *chunk
	buf  []byte
	r    int
}

func (c *chunk) waiting() []byte { return c.buf[c.r:] }
func (c *chunk) room() []byte    { return c.buf[len(c.buf):cap(c.buf)] }

// buffers keeps chunks for reuse. It belongs to a loop's goroutine. A chunk may come back to another loop's buffers than
// it was taken from.
type buffers struct {
	free  [len(sizes)]*chunk
	count [len(sizes)]int
}

// class returns the least class that holds n bytes, or len(sizes).
func class(n int) int {
	for i, size := range sizes {
		if n <= size {
			return i
		}
	}
	return len(sizes)
}

// get returns an empty chunk for at least n bytes.
func (b *buffers) get(n int) *chunk {
	i := class(n)
	if i == len(sizes) {
		return &chunk{buf: make([]byte, 0, n)}
	}
	c := b.free[i]
	if c == nil {
		return &chunk{buf: make([]byte, 0, sizes[i])}
	}
	b.free[i] = c.next
	b.count[i]--
	c.next = nil
	return c
}

// put takes c back, whose bytes nobody uses any more. nil is harmless.
func (b *buffers) put(c *chunk) {
	if c == nil {
		return
	}
	i := class(cap(c.buf))
	if i == len(sizes) || cap(c.buf) != sizes[i] || b.count[i] == kept[i] {
		return // crypto/tls grew it, or there are enough
	}
	c.buf, c.r = c.buf[:0], 0
	c.next = b.free[i]
	b.free[i] = c
	b.count[i]++
}

// move returns a chunk for at least n bytes that begins with what waits in c, and takes c back.
func (b *buffers) move(c *chunk, n int) *chunk {
	d := b.get(n)
	d.buf = append(d.buf, c.waiting()...)
	b.put(c)
	return d
}
