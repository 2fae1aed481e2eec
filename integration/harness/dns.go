package harness

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"sync"
)

// DNS is a name server that knows what a test tells it, over UDP (RFC 1035 section 4).
type DNS struct {
	Address string

	mu      sync.Mutex
	broken  bool
	records map[dnsQuestion][][]byte // what there is for a name and a type
}

type dnsQuestion struct {
	name string // in small letters, with the last dot
	kind uint16
}

const (
	dnsA   = 1
	dnsSRV = 33
)

// StartDNS runs one until the end of t.
func StartDNS(t T) *DNS {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("%v", err)
	}
	d := &DNS{Address: c.LocalAddr().String(), records: map[dnsQuestion][][]byte{}}
	ended := make(chan struct{})
	t.Cleanup(func() { _ = c.Close(); <-ended })
	go func() {
		defer close(ended)
		for p := make([]byte, 1500); ; {
			n, from, err := c.ReadFrom(p)
			if err != nil {
				return
			}
			if answer := d.answer(p[:n]); answer != nil {
				_, _ = c.WriteTo(answer, from)
			}
		}
	}()
	return d
}

// SetA makes a name, which ends with a dot, have these addresses.
func (d *DNS) SetA(name string, addresses ...string) {
	var all [][]byte
	for _, a := range addresses {
		all = append(all, netip.MustParseAddr(a).AsSlice())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.records[dnsQuestion{name, dnsA}] = all
}

// SetSRV makes a name, which ends with a dot, lead to the ports of host, which is a name that ends with a dot (RFC 2782).
func (d *DNS) SetSRV(name, host string, ports ...int) {
	var all [][]byte
	for _, port := range ports {
		data := []byte{0, 1, 0, 1} // priority and weight
		data = binary.BigEndian.AppendUint16(data, uint16(port))
		for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
			data = append(append(data, byte(len(label))), label...)
		}
		all = append(all, append(data, 0))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.records[dnsQuestion{name, dnsSRV}] = all
}

// Break makes it answer SERVFAIL, or not any more.
func (d *DNS) Break(broken bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broken = broken
}

// answer is the whole message for a query with one question; nil for anything else.
func (d *DNS) answer(query []byte) []byte {
	const header = 12
	if len(query) < header || binary.BigEndian.Uint16(query[4:]) != 1 {
		return nil
	}
	var q dnsQuestion
	rest := query[header:]
	for len(rest) > 0 && rest[0] != 0 {
		n := int(rest[0])
		if n > 63 || len(rest) < 1+n {
			return nil
		}
		q.name += strings.ToLower(string(rest[1:1+n])) + "."
		rest = rest[1+n:]
	}
	if len(rest) < 5 {
		return nil
	}
	q.kind = binary.BigEndian.Uint16(rest[1:])
	question := query[header : len(query)-len(rest)+5]

	d.mu.Lock()
	records, broken := d.records[q], d.broken
	d.mu.Unlock()
	const (
		noError, serverFailure = 0, 2
		namePointer            = 0xc000 | header // the name of the question
		ttl                    = 1
	)
	code := byte(noError)
	if broken {
		records, code = nil, serverFailure
	}
	out := append([]byte{}, query[:2]...)
	out = append(out, 0x84|query[2]&1, 0x80|code) // an authoritative answer; recursion is available
	out = append(out, 0, 1, 0, byte(len(records)), 0, 0, 0, 0)
	out = append(out, question...)
	for _, r := range records {
		out = binary.BigEndian.AppendUint16(out, namePointer)
		out = binary.BigEndian.AppendUint16(out, q.kind)
		out = append(out, 0, 1, 0, 0, 0, ttl)
		out = binary.BigEndian.AppendUint16(out, uint16(len(r)))
		out = append(out, r...)
	}
	return out
}
