package postgres

// expected is what the backend owes for one message that was sent to it: what ends it, and whose it is. The queue of them is
// the whole truth about what may arrive next (54.2.2 "Simple Query", 54.2.3 "Extended Query", 54.2.5 "Function Call").
type expected uint16

const (
	answerQuery    expected = iota // anything until ReadyForQuery
	answerCall                     // FunctionCallResponse or an error, then ReadyForQuery
	answerReset                    // as answerQuery, to what cleans the backend up; not refused
	answerUnseen                   // as answerQuery, one row
	answerVerify                   // as answerUnseen
	answerRestore                  // as answerReset, to what brings the backend in line with the session
	answerDoom                     // as answerReset, to what makes a transaction that failed
	answerSync                     // ReadyForQuery
	answerParse                    // ParseComplete
	answerBind                     // BindComplete
	answerDescribe                 // RowDescription or NoData
	answerExecute                  // CommandComplete, EmptyQueryResponse or PortalSuspended, rows or COPY before it
	answerClose                    // CloseComplete
	answerCopyEnd                  // nothing: marks where the client ended its COPY data
	answerFail                     // an error; the client gets another in place of one about the name
	answerOwn                      // ParseComplete or an error, to a Parse of the machine's under a client's name

	answerKind = 0x0f

	// answerSwallow marks what the machine itself asked; the client must not see it.
	answerSwallow expected = 0x10
	// answerUnnamed marks a Parse, Describe or Close of the unnamed statement, or a Describe of a portal of it.
	answerUnnamed expected = 0x20
	// answerSequences marks the Execute or Query that makes the backend forget its sequences.
	answerSequences expected = 0x40
	// answerNamed marks what has an op in named: a Parse, Describe or Close of a named statement, a Describe of a portal of one, and answerFail.
	answerNamed expected = 0x80
	// answerForgets marks the Execute or Query that makes the server forget the application's name, unless it fails.
	answerForgets expected = 0x100
	// answerRolls marks what rolls back a transaction before the client's Query that does so, and that Query (failed.go).
	answerRolls expected = 0x200
	// answerStands marks the Query or Bind of a text that stand-ins were sent for, and answerPortal a Bind or Execute of the unnamed
	// portal (named_sql.go).
	answerStands expected = 0x400
	answerPortal expected = 0x800
	// answerFirst marks the first statements of a Query, whose rest waits (parts.go).
	answerFirst expected = 0x1000
	// answerInserted marks the Query that something was put into (inserted.go).
	answerInserted expected = 0x2000
)

func (a expected) kind() expected { return a & answerKind }

// readies says that a ReadyForQuery ends the answer.
func (a expected) readies() bool { return a.kind() <= answerSync }

const (
	inlineAnswers = 16
	// maxAnswers bounds how far a client may run ahead. It is not read further until answers come.
	maxAnswers = 4096
	// injected is the most that the machine puts in of its own around one message of the client (sendCalendar, twice).
	injected = 48
)

// answers is a queue in a ring. The first entries need no memory of their own.
type answers struct {
	inline [inlineAnswers]expected
	ring   []expected // nil: inline
	head   int32      // the first one's place
	ready  int32      // how many of the n end with a ReadyForQuery
	n      int
}

func (q *answers) slots() []expected {
	if q.ring != nil {
		return q.ring
	}
	return q.inline[:]
}

func (q *answers) at(i int) *expected {
	s := q.slots()
	return &s[(int(q.head)+i)&(len(s)-1)]
}

// full says that the client must wait before it may send more.
func (q *answers) full() bool { return q.n >= maxAnswers-injected }

// forwarded is how many answers the client waits for.
func (q *answers) forwarded() (n int) {
	for i := range q.n {
		if *q.at(i)&answerSwallow == 0 {
			n++
		}
	}
	return n
}

// awaits says whether the client waits for the end of a request.
func (q *answers) awaits() bool {
	for i := range q.n {
		if a := *q.at(i); a.readies() && a&answerSwallow == 0 {
			return true
		}
	}
	return false
}

func (q *answers) empty() bool { return q.n == 0 }

// marked says whether there is a first answer that has the mark.
func (q *answers) marked(mark expected) bool { return !q.empty() && q.first()&mark != 0 }

func (q *answers) push(a expected) {
	if s := q.slots(); q.n == len(s) {
		grown := make([]expected, 2*len(s))
		for i := range q.n {
			grown[i] = *q.at(i)
		}
		q.ring, q.head = grown, 0
	}
	*q.at(q.n) = a
	q.n++
	if a.readies() {
		q.ready++
	}
}

// first is what the backend answers next; the queue is not empty.
func (q *answers) first() expected { return *q.at(0) }

func (q *answers) pop() expected {
	a := q.first()
	q.head = (q.head + 1) & int32(len(q.slots())-1)
	q.n--
	if a.readies() {
		q.ready--
	}
	if q.n == 0 {
		q.ring, q.head = nil, 0 // a burst's memory does not stay
	}
	return a
}

// endOfCopy is what beginning to read COPY data means for what the client had sent already: up to where it ended its data
// the server ignores Sync (54.2.6 "COPY Operations"). It returns how many it took out, and whether that end is in the queue.
func (q *answers) endOfCopy() (syncs int, ended bool) {
	for q.n > 1 {
		next := *q.at(1)
		if next.kind() != answerSync && next.kind() != answerCopyEnd {
			break // the server will object to it
		}
		head := q.first()
		*q.at(1) = head
		q.head = (q.head + 1) & int32(len(q.slots())-1)
		q.n--
		if next.kind() == answerCopyEnd {
			return syncs, true
		}
		q.ready--
		syncs++
	}
	return syncs, false
}
