package postgres

import (
	"encoding/binary"

	"github.com/berthdb/berth/core/engine"
)

// A FunctionCall executes a function without SQL (54.2.5). Drivers use it for large objects; libpq offers it for any.

// call passes on a FunctionCall.
func (m *machine) call(fr frame, f *feed, w engine.Wire) bool {
	v := m.judgeCall(body(fr, f))
	if v.opaque && (!whole(fr, f) || mentionsSticking(body(fr, f))) { // as of query_to_xml
		v.stick()
	}
	if v.sequence && m.waits(m.lend.sequences, f, w) {
		return false
	}
	if v.sequence && (m.lend.tx != 'E' || m.reading.batch || !m.queue.empty()) { // or else the server refuses it
		m.flush(f, w)
		m.prepareSequences(false, false, w) // a simple Query would end the unnamed statement, which a FunctionCall does not
	}
	m.report(v, nil, false, w)
	m.beganApart(w)
	m.push(answerCall)
	m.begin(fr, f, false, w)
	return true
}

// firstNormalOID is the least number of what initdb has not made (transam.h). A function with such a one may be of an extension that keeps what the
// server cannot be asked about, as dblink does: by its name that is seen in SQL, and hardly anybody calls one by its number.
const firstNormalOID = 16384

// judgeCall says what a call may do. body begins with the function's number; its arguments are in text or binary form, which is
// the same for names.
func (m *machine) judgeCall(body []byte) verdict {
	if len(body) < 4 {
		return verdict{inert: true} // the server refuses it
	}
	v := verdict{opaque: true, sequence: true}
	switch function := binary.BigEndian.Uint32(body); function {
	case 715, 952, 953, 954, 955, 956, 957, 958, 964, 1004, 3170, 3171, 3172, 3457, 3458, 3459, 3460:
		return verdict{} // of large objects, whose descriptors end with the transaction
	case 1574, 1576, 1765: // nextval, setval
		v.kinds.add(engine.KindSequence)
	case 1599, 2096, 2172: // setseed, pg_start_backup, pg_backup_start
		v.stick()
	case 3779, 3786, 4220, 4221, 4222, 4223, 4224, 6006, 6007: // of replication slots and origins
		v.kinds.add(engine.KindReplication)
	case 2026: // pg_backend_pid
		v.kinds.add(engine.KindConnectionID)
	case 2078: // set_config
		v.kinds.add(engine.KindSetting)
		var t settingText
		name := lowered(firstArgument(body[4:]))
		t.name(name)
		m.nameless = m.nameless || t.nameless
		if name == "seed" {
			v.stick()
		}
	}
	if function := binary.BigEndian.Uint32(body); function >= firstNormalOID {
		v.stick()
	}
	if !m.remember(body) {
		v.kinds.add(engine.KindUnknown)
	}
	return v
}

// firstArgument returns the first argument of a call: behind the formats of all and their number come a length and the value
// (54.7 "FunctionCall"). It is empty if there is none.
func firstArgument(p []byte) []byte {
	if len(p) < 2 {
		return nil
	}
	formats := 2 * int(binary.BigEndian.Uint16(p))
	if p = p[2:]; len(p) < formats+2 {
		return nil
	}
	value, _, _ := cutField(p[formats+2:])
	return value
}
