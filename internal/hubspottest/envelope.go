package hubspottest

import (
	"net/http"
)

// problem is HubSpot's error envelope.
type problem struct {
	status   int
	category string
	message  string
	extra    string // more members of the object, each with a comma before it
	rate     string // policy name: the envelope of a 429, which has errorType
}

// answer renders the envelope. Its correlation id is filled in when it is sent.
func (p problem) answer() *answer {
	body := []byte(`{"status":"error","message":`)
	body = appendJSON(body, p.message)
	body = append(body, `,"correlationId":"`+correlationMark+`"`...)
	if p.rate != "" {
		body = append(body, `,"errorType":"RATE_LIMIT","policyName":"`+p.rate+`","requestId":"`+correlationMark+`"`...)
	} else {
		body = append(body, `,"category":"`+p.category+`"`...)
	}
	body = append(append(body, p.extra...), '}')
	a := jsonAnswer(p.status, body)
	return &a
}

// correlationMark stands where the id of the request goes.
const correlationMark = "00000000-0000-4000-8000-000000000000"

func invalid(message string) *answer {
	return problem{status: http.StatusBadRequest, category: "VALIDATION_ERROR", message: message}.answer()
}

func unauthorized() *answer {
	return problem{
		status: http.StatusUnauthorized, category: "INVALID_AUTHENTICATION",
		message: "Authentication credentials not found. This API supports OAuth 2.0 authentication.",
	}.answer()
}

func expired() *answer {
	return problem{
		status: http.StatusUnauthorized, category: "EXPIRED_AUTHENTICATION",
		message: "The access token is expired.",
		extra:   `,"context":{"expire time":["2026-01-01T00:00:00.000Z"]}`,
	}.answer()
}

func missingScopes(scope string) *answer {
	return problem{
		status: http.StatusForbidden, category: "MISSING_SCOPES",
		message: "This app hasn't been granted all required scopes to make this call.",
		extra: `,"errors":[{"message":"One or more of the following scopes are required.","context":` +
			`{"requiredGranularScopes":["` + scope + `"]}}]`,
	}.answer()
}

func objectNotFound() *answer {
	return problem{status: http.StatusNotFound, category: "OBJECT_NOT_FOUND", message: "Thread not found"}.answer()
}

func pathNotFound(asHTML bool) *answer {
	if asHTML {
		a := htmlAnswer(http.StatusNotFound)
		return &a
	}
	return problem{status: http.StatusNotFound, category: "RESOURCE_NOT_FOUND", message: "resource not found"}.answer()
}

func methodNotAllowed() *answer {
	a := problem{status: http.StatusMethodNotAllowed, category: "METHOD_NOT_ALLOWED", message: "method not allowed"}.answer()
	a.header.Set("Allow", http.MethodGet)
	return a
}

func htmlAnswer(status int) answer {
	text := http.StatusText(status)
	return answer{
		status: status,
		header: http.Header{"Content-Type": {"text/html; charset=utf-8"}},
		body: []byte("<!DOCTYPE html>\n<html><head><title>" + text + "</title></head>\n" +
			"<body><center><h1>" + text + "</h1></center><hr><center>cloudflare</center></body></html>\n"),
	}
}
