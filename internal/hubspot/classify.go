package hubspot

import (
	"net/http"
	"strings"
	"time"

	"github.com/threadcast/threadcast/internal/quota"
)

// HubSpot's own status: the account moves to another data centre.
const statusMigrating = 477

// neededScope is what every read of ours needs, after HubSpot's reference.
const neededScope = "conversations.read"

// classify says what an answer other than 2xx means.
func classify(response *http.Response, body []byte, question call, now time.Time) *Error {
	e := readEnvelope(body)
	failure := &Error{
		Class: ClassConfig, Status: response.StatusCode, Category: e.category, Message: e.message,
		CorrelationID: e.correlation, RetryAfter: retryAfter(response.Header.Get("Retry-After"), now),
	}
	switch status := response.StatusCode; {
	case status == http.StatusUnauthorized:
		failure.Class = ClassAuth
		failure.Remedy = "the token is refused: put a valid one where hubspot.auth points to"
	case status == http.StatusForbidden:
		forbidden(failure, e, question)
	case status == http.StatusNotFound:
		notFound(failure, e, question)
	case status == http.StatusLocked:
		failure.Class = ClassWait
	case status == http.StatusTooManyRequests:
		failure.Class = ClassWait
		failure.Policy = e.policy
	case status == statusMigrating:
		failure.Class = ClassPause
		failure.Remedy = "HubSpot is moving the account to another data centre; reading goes on by itself afterwards"
	case status == http.StatusRequestTimeout || status >= 500:
		failure.Class = ClassRetry
	case status/100 == 3:
		failure.Remedy = "redirects are not followed, as they would carry the token away: check hubspot.base_url"
	case (status == http.StatusBadRequest || status == http.StatusGone) && question.cursor:
		failure.Class = ClassCursor
		failure.limit = strings.Contains(e.mentions, "limit")
	default:
		failure.limit = strings.Contains(e.mentions, "limit")
		failure.Remedy = "HubSpot will not answer this request: check hubspot.base_url, hubspot.api_version and hubspot.inboxes"
	}
	return failure
}

// forbidden tells the API's refusal from that of the edge before it, which
// answers with a web page and passes.
func forbidden(failure *Error, e envelope, question call) {
	if e.html {
		failure.Class = ClassPause
		failure.Remedy = "HubSpot's edge blocks this address, or something else answers in its place: check hubspot.base_url and proxies"
		return
	}
	failure.Class = ClassScope
	failure.Scopes = e.scopes
	if len(failure.Scopes) == 0 && question.endpoint != endpointAccount {
		failure.Scopes = []string{neededScope}
	}
	if question.endpoint == endpointAccount {
		failure.Remedy = "the token may not read the account's details: set hubspot.account_id"
		return
	}
	failure.Remedy = "give the token the scope " + strings.Join(failure.Scopes, ", ")
}

// notFound believes that an object is gone only if HubSpot says so in its own
// words; any other 404 is a wrong path.
func notFound(failure *Error, e envelope, question call) {
	if question.object && e.json && e.category == "OBJECT_NOT_FOUND" {
		failure.Class = ClassNotFound
		return
	}
	failure.Remedy = "there is no such path: check hubspot.base_url and hubspot.api_version (auto tries all that are known)"
}

// outcomeOf is what a call's end means for the quota.
func outcomeOf(failure *Error) (quota.Outcome, time.Duration) {
	if failure == nil {
		return quota.Answered, 0
	}
	outcome := quota.Answered
	switch {
	case failure.Class == ClassRetry:
		outcome = quota.Failed
	case failure.Status == http.StatusLocked:
		outcome = quota.Locked
	case failure.Status == http.StatusTooManyRequests:
		outcome = policyOutcome(failure.Policy)
	case failure.Status == statusMigrating:
		outcome = quota.Migrating
	case failure.Class == ClassPause:
		outcome = quota.Blocked
	}
	return outcome, failure.RetryAfter
}

func policyOutcome(policy string) quota.Outcome {
	switch policy {
	case policyDaily:
		return quota.RefusedDaily
	case policySecondly:
		return quota.RefusedSecondly
	}
	return quota.RefusedTenSecondly
}
