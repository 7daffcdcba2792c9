package kafkatest

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// epochs makes a cluster inside the process refuse InitProducerId with a
// replaced epoch, as Kafka does (TransactionMetadata): kfake takes every epoch
// that is not above the current one. It counts what the coordinator gives out, as
// kfake does not tell. Calls come one at a time, from kfake.
type epochs struct {
	cluster *kfake.Cluster
	byID    map[string]epoch
}

type epoch struct {
	current int16
	// previous is answered with the current epoch, so that a request may be
	// repeated; -1 after somebody started anew.
	previous int16
}

func refuseReplaced(cluster *kfake.Cluster) {
	e := &epochs{cluster: cluster, byID: map[string]epoch{}}
	cluster.ControlKey(int16(kmsg.InitProducerID), e.control)
}

func (e *epochs) control(request kmsg.Request) (kmsg.Response, error, bool) {
	e.cluster.KeepControl()
	asked, ok := request.(*kmsg.InitProducerIDRequest)
	if !ok || asked.TransactionalID == nil || e.cluster.CurrentNode() != e.cluster.CoordinatorFor(*asked.TransactionalID) {
		return nil, nil, false
	}
	id := *asked.TransactionalID
	known, ok := e.byID[id]
	switch {
	case !ok:
		e.byID[id] = epoch{current: 0, previous: -1}
	case asked.ProducerEpoch < 0:
		e.byID[id] = epoch{current: known.current + 1, previous: -1}
	case asked.ProducerEpoch == known.current:
		e.byID[id] = epoch{current: known.current + 1, previous: known.current}
	case asked.ProducerEpoch == known.previous:
		return initAnswer(asked, 0, known.current), nil, true
	default:
		return initAnswer(asked, kerr.ProducerFenced.Code, -1), nil, true
	}
	return nil, nil, false
}

func initAnswer(asked *kmsg.InitProducerIDRequest, code, epoch int16) *kmsg.InitProducerIDResponse {
	answer := asked.ResponseKind().(*kmsg.InitProducerIDResponse)
	answer.ErrorCode = code
	answer.ProducerID, answer.ProducerEpoch = -1, -1
	if code == 0 {
		answer.ProducerID, answer.ProducerEpoch = asked.ProducerID, epoch
	}
	return answer
}
