package quota

import "time"

// day counts our own calls of the account's day. What is reserved in the ledger
// is never less than what was used, so no crash makes us forget a call.
type day struct {
	name     string
	used     int // calls made, and those that a crash left unused
	reserved int // as the ledger has it
}

// reserve makes sure that one more call may be made on the local day; false if
// the allowance is used up.
func (d *day) reserve(ledger Ledger, local time.Time, allowance int) (bool, error) {
	if name := local.Format(time.DateOnly); name != d.name {
		*d = day{name: name}
	}
	if d.used >= allowance {
		return false, nil
	}
	if d.used < d.reserved {
		return true, nil
	}
	calls := min(reservation, allowance-d.reserved)
	total := d.reserved + calls
	if ledger != nil {
		sum, err := ledger.Reserve(d.name, calls)
		if err != nil {
			return false, err
		}
		total = max(total, sum)
	}
	d.used, d.reserved = total-calls, total
	return d.used < allowance, nil
}

// endOfDay is the first moment of the next day on the local calendar.
func endOfDay(local time.Time) time.Time {
	year, month, date := local.Date()
	return time.Date(year, month, date+1, 0, 0, 0, 0, local.Location())
}
