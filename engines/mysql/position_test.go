package mysql

import "testing"

func TestAMariaDBReplicaHasReachedAPositionOfItsWriter(t *testing.T) {
	for _, c := range []struct {
		position, has string
		want          bool
	}{
		{"1;", "", true},
		{"1;", "0-1-5", true},
		{"1;0-1-5", "", false},
		{"1;0-1-5", "0-1-4", false},
		{"1;0-1-5", "0-1-5", true},
		{"1;0-1-5", "0-1-6,1-3-2", true},
		{"1;0-1-5,1-3-2", "0-1-6", false},
		{"1;0-1-5,1-3-2", "1-3-2,0-1-6", true},
		{"1;0-1-5,1-3-2", "1-3-1,0-1-6", false},
		{"2;0-1-5", "0-1-5", true},  // the new writer has written nothing yet
		{"2;0-1-5", "0-2-6", true},  // and then it has
		{"2;0-2-6", "0-1-9", false}, // what the writer before wrote, and the new one has not got
		{"2;0-2-6", "0-3-9", false},
	} {
		p, err := parseMariaPosition(c.position)
		has, hasErr := parseMariaGTIDs(c.has)
		if err != nil || hasErr != nil || p.reachedBy(has) != c.want {
			t.Errorf("%+v: %v, %v", c, err, hasErr)
		}
	}
	for _, text := range []string{"", "0-1-5", "x;0-1-5", "1;0-1", "1;0-1-5-6", "1;0-1-x", "1;0-1-5,", "1;0-1-5,0-2-6", "1;4294967296-1-5", "4294967296;"} {
		if _, err := parseMariaPosition(text); err == nil {
			t.Errorf("%q is a position", text)
		}
	}
}
