package postgres

import (
	"errors"
	"testing"

	"github.com/berthdb/berth/core/engine"
)

func TestAPositionIsBehindTheLastRecord(t *testing.T) {
	for _, c := range []struct {
		lsn, page, segment string
		want               uint64 // 0: malformed
	}{
		{"0/3000148", "8192", "16777216", 0x3000148},
		{"16/B374D848", "8192", "16777216", 0x16B374D848},
		{"0/3002018", "8192", "16777216", 0x3002000}, // behind the header of a page
		{"0/3000028", "8192", "16777216", 0x3000000}, // of a segment
		{"0/3002028", "8192", "16777216", 0x3002028},
		{"0/3000018", "8192", "16777216", 0x3000018},
		{"0/3100028", "8192", "1048576", 0x3100000},
		{"0/3004018", "16384", "16777216", 0x3004000},
		{"0/3002018", "16384", "16777216", 0x3002018},
		{"3000148", "8192", "16777216", 0},
		{"0/xyz", "8192", "16777216", 0},
		{"0/3000148", "0", "16777216", 0},
		{"0/3000148", "8192", "0", 0},
		{"0/3000148", "", "", 0},
	} {
		row := [][]byte{[]byte("0000000A0000000000000003"), []byte(c.lsn), []byte(c.page), []byte(c.segment)}
		got, err := parsePosition(row)
		if (err == nil) != (c.want != 0) || err == nil && (got != walPosition{10, c.want}) {
			t.Errorf("%+v: %x, %v", c, got, err)
		}
	}
	for _, name := range []string{"", "0000000A", "x000000A0000000000000003"} {
		if _, err := parsePosition([][]byte{[]byte(name), []byte("0/3000148"), []byte("8192"), []byte("16777216")}); err == nil {
			t.Errorf("a file of the name %q", name)
		}
	}
}

func TestAStandbyHasReachedAPositionOfItsTimeline(t *testing.T) {
	const (
		yes    = "yes"
		no     = "no"
		hidden = "hidden"
		broken = "broken"
	)
	p := walPosition{2, 0x5000000}
	for _, c := range []struct{ receives, timeline, replayed, want string }{
		{"1", "2", "0/5000000", yes},
		{"1", "2", "1/0", yes},
		{"1", "2", "0/4FFFFFF", no},
		{"1", "1", "0/6000000", no}, // of a writer that was replaced
		{"1", "3", "0/6000000", no},
		{"0", "-", "0/6000000", no},
		{"1", "-", "0/6000000", hidden},
		{"1", "2", "-", no},
		{"1", "x", "0/6000000", broken},
		{"1", "2", "6000000", broken},
	} {
		var row [][]byte
		for _, v := range []string{c.receives, c.timeline, c.replayed} {
			if v == "-" {
				row = append(row, nil)
				continue
			}
			row = append(row, []byte(v))
		}
		reached, err := p.reachedBy(row)
		got := map[bool]string{true: yes, false: no}[reached]
		switch {
		case errors.Is(err, engine.ErrNoPosition):
			got = hidden
		case err != nil:
			got = broken
		}
		if got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
