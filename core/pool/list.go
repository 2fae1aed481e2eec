package pool

// list is a doubly linked list whose links live in what it links: it allocates nothing, and may be copied. The zero list
// is empty.
type list[T any] struct {
	first, last *link[T]
	len         int
}

// link is a membership in one list at a time.
type link[T any] struct {
	prev, next *link[T]
	of         *T
}

// push appends of, whose membership l is.
func (s *list[T]) push(l *link[T], of *T) {
	l.prev, l.next, l.of = s.last, nil, of
	if s.last != nil {
		s.last.next = l
	} else {
		s.first = l
	}
	s.last = l
	s.len++
}

// remove takes out l, which is in s.
func (s *list[T]) remove(l *link[T]) {
	if l.prev != nil {
		l.prev.next = l.next
	} else {
		s.first = l.next
	}
	if l.next != nil {
		l.next.prev = l.prev
	} else {
		s.last = l.prev
	}
	l.prev, l.next = nil, nil
	s.len--
}
