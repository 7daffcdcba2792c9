package quota

// Ticket is the place in the queue of one call, and afterwards the call itself.
type Ticket struct {
	priority Priority
	granted  bool
	reported bool
}

// streak is how many calls of a priority may go one after the other while
// somebody of a lower one waits.
func (p Priority) streak() int {
	if p == PriorityConfirm {
		return 1
	}
	return 3
}

// queue holds those who wait, first come first served within a priority.
type queue struct {
	waiting [priorities][]*Ticket
	streaks [priorities]int // calls of the priority since one behind it went
}

func (q *queue) join(ticket *Ticket) {
	q.waiting[ticket.priority] = append(q.waiting[ticket.priority], ticket)
}

// leave takes a ticket out; false if it was not waiting.
func (q *queue) leave(ticket *Ticket) bool {
	line := q.waiting[ticket.priority]
	for i, other := range line {
		if other == ticket {
			q.waiting[ticket.priority] = append(line[:i:i], line[i+1:]...)
			return true
		}
	}
	return false
}

// pick is the ticket whose turn it is, nil if nobody waits.
func (q *queue) pick() *Ticket {
	var best *Ticket
	for priority := range priorities {
		if len(q.waiting[priority]) == 0 {
			continue
		}
		best = q.waiting[priority][0]
		if q.streaks[priority] < priority.streak() {
			break
		}
	}
	return best
}

// take removes the ticket whose turn it was.
func (q *queue) take(ticket *Ticket) {
	q.leave(ticket)
	behind := 0
	for priority := range priorities {
		switch {
		case priority < ticket.priority:
			q.streaks[priority] = 0
		case priority > ticket.priority:
			behind += len(q.waiting[priority])
		}
	}
	if behind == 0 {
		q.streaks[ticket.priority] = 0
		return
	}
	q.streaks[ticket.priority]++
}

func (q *queue) len() int {
	n := 0
	for _, line := range q.waiting {
		n += len(line)
	}
	return n
}
