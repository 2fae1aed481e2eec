package mysql

import "github.com/berthdb/berth/core/engine"

// shape is how the answer to a command looks.
type shape uint8

const (
	shapeOne     shape = iota // one OK, EOF or ERR
	shapeText                 // one string (COM_STATISTICS)
	shapeResults              // results of statements, text or binary (section "COM_QUERY Response")
	shapePrepare              // section "COM_STMT_PREPARE Response"
	shapeColumns              // section "COM_FIELD_LIST"
	shapeRows                 // section "COM_STMT_FETCH"
)

// purpose is why something was sent to the backend, and so what becomes of the answer.
type purpose uint8

const (
	purposeForward  purpose = iota // the client asked: its answer
	purposeSchema                  // sets the default database
	purposeAfresh                  // takes away the user variables of others, which nothing but a reset does
	purposeRestore                 // sets what the session has set
	purposeCompare                 // asks which of those it has already
	purposeSettings                // asks for values of variables
	purposeEnd                     // ends a transaction of the machine's own, or says what the next one may do
	purposeClear                   // clears what the statements of another session left to SHOW WARNINGS
	purposeRepeat                  // leaves an error of an earlier request of the session to SHOW WARNINGS
	purposeRows                    // makes ROW_COUNT() what the session's is
	purposeTrack                   // makes the backend report what the session wants to hear
	purposeTracked                 // asks what that is
	purposeTrackAll                // makes the backend report all
	purposeCalm                    // gives the backend the wait_timeout back that it began with
	purposeEase                    // takes from the backend what keeps it from answering what is asked about code
	purposeRead                    // reads LAST_INSERT_ID()
	purposeWrite                   // sets LAST_INSERT_ID()
	purposeZero                    // takes LAST_INSERT_ID() back to what backends in the pool have
	purposeReset                   // takes away what code left that nobody saw, and brings back what goes with it
	purposeLocks                   // asks which named locks are held
	purposeUnseen                  // asks whether there is such code
	purposeStored                  // asks whether functions are stored ones
	purposePlace                   // sets the default database in which a statement was prepared
	purposeMeaning                 // sets what decides how a statement is understood that is to be prepared
	purposePrepare                 // prepares a statement of the session
	purposePlaced                  // asks which default database the session has
	purposeReading                 // makes the backend read the name of a database as servers report it, or ends that
	purposeArm                     // brings back what COM_RESET_CONNECTION took: trackers, the target's own query
)

// answer is one expected answer of the backend.
type answer struct {
	shape   shape
	purpose purpose
}

// maxAnswers is more than is ever under way: the client's own, and what the machine asks before or after it.
const maxAnswers = 8

// answers is the queue of what the backend still owes. The backend is at a boundary only while it is empty.
type answers struct {
	ring  [maxAnswers]answer
	first uint8
	count uint8
}

func (q *answers) push(a answer) {
	q.ring[(q.first+q.count)%maxAnswers] = a
	q.count++
}

func (q *answers) head() answer { return q.ring[q.first] }

func (q *answers) pop() {
	q.first = (q.first + 1) % maxAnswers
	q.count--
}

func (q *answers) clear() { *q = answers{} }

// stage is where in an answer the reader is.
type stage uint8

const (
	stageFirst   stage = iota // the packet that says what follows
	stageParams               // definitions of parameters (COM_STMT_PREPARE)
	stageColumns              // definitions of columns
	stageRows                 // rows, up to the terminator
	stageFile                 // the client sends a file
)

// reader is the place in the answer at the head of the queue.
type reader struct {
	stage    stage
	sequence uint8 // of the next packet from the backend
	// shift is added to the sequence ids of packets on their way to the client, and taken from those on the way to
	// the backend: packets were inserted.
	shift     uint8
	continued bool   // the next packet continues the last one
	eof       bool   // the client must be told that the columns are over, before the next packet
	skip      int    // what is left of the packet whose header was seen
	left      uint64 // definitions to come
	columns   uint64 // of the statement that is being prepared, after its parameters
}

// packetHeader returns the length and the sequence id of the packet that begins p.
func packetHeader(p []byte) (n int, sequence uint8) {
	return int(p[0]) | int(p[1])<<8 | int(p[2])<<16, p[3]
}

// maxWhole is how long a packet may be, with its header, to be held whole.
const maxWhole = engine.MaxHeld
