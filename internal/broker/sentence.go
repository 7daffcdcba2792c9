package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// Sentence says to a person what an error of this package most likely means and
// what to do about it. It never contains a secret.
func Sentence(err error) string {
	if err == nil {
		return ""
	}
	if code, ok := CodeOf(err); ok {
		if sentence := codeSentence(Code(code)); sentence != "" {
			return sentence
		}
		return "Kafka refused the request: " + Code(code).Error() + "."
	}
	if sentence := networkSentence(err); sentence != "" {
		return sentence
	}
	return "Kafka could not be asked: " + err.Error() + "."
}

func codeSentence(code Code) string {
	switch code {
	case UnknownTopicOrPartition:
		return "A topic does not exist, or this user may not see it (Kafka answers the same for both): create it with `threadcast topics create`, or grant the user Describe and Write on it."
	case TopicAuthorizationFailed:
		return "This user lacks a right on a topic: grant Describe, Write and Read on it (and Create, if topics are to be created)."
	case ClusterAuthorizationFailed:
		return "This user lacks a right on the cluster: grant IdempotentWrite, or Create if topics are to be created."
	case TransactionalIDAuthorization:
		return "This user may not use the transactional id: grant Describe and Write on transactional ids that start with the configured prefix."
	case SASLAuthenticationFailed, UnsupportedSASLMechanism:
		return "Kafka refused the login: check user name, password and mechanism."
	case UnsupportedVersion:
		return "The broker is too old for what is asked of it: Kafka 2.5 or newer is needed."
	case InvalidReplicationFactor:
		return "The replication factor is larger than the number of brokers: lower kafka.replication_factor."
	case InvalidPartitions, InvalidConfig, PolicyViolation, InvalidTopic:
		return "The cluster does not accept the topic as configured: see the name, the partitions and the cluster's policy."
	case MessageTooLarge, RecordListTooLarge:
		return "The topic takes no record of this size: set its max.message.bytes to 1 MiB or more."
	case InvalidTimestamp:
		return "The broker refuses the time of the record: compare the clocks, or set message.timestamp.type=LogAppendTime on the topic."
	case InvalidProducerEpoch, ProducerFenced:
		return "Another instance has taken over this account: find out which one should run and stop the other."
	case NotEnoughReplicas, NotEnoughReplicasAfterAppend:
		return "Too few replicas of the partition are alive (min.insync.replicas): bring the brokers back."
	case LeaderNotAvailable, NotLeader, BrokerNotAvailable:
		return "The partition has no reachable leader at the moment: this usually passes in seconds; if not, look at the brokers."
	case CoordinatorLoading, CoordinatorNotAvailable, NotCoordinator:
		return "The transaction coordinator is starting or moving: this usually passes in seconds; if not, look at the topic __transaction_state."
	case OffsetOutOfRange:
		return "The offset is not in the partition: retention removed it, or the topic was created anew."
	case RequestTimedOut:
		return "The broker did not finish in time: its replicas are slow or gone."
	}
	return ""
}

func networkSentence(err error) string {
	var (
		dns         *net.DNSError
		certificate *tls.CertificateVerificationError
		host        x509.HostnameError
		notTLS      tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &dns):
		return "The name " + dns.Name + " is not known to DNS: check kafka.brokers, and advertised.listeners of the brokers if the name is not one of yours."
	case errors.As(err, &host):
		return "The broker's certificate is for other names: connect by a name that it has, or give the broker a new one."
	case errors.As(err, &certificate):
		return "The broker's certificate is not trusted: it is expired, or its authority is not known here."
	case errors.As(err, &notTLS):
		return "The broker does not speak TLS at this port: check the port, or turn TLS off."
	case errors.Is(err, syscall.ECONNREFUSED):
		return "Nothing listens at the broker's address: check kafka.brokers and whether Kafka runs."
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "The broker closed the connection: it was stopped, or the login is wrong, or it expects TLS at this port."
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "The broker does not answer in time: a firewall may drop the packets, or the broker is overloaded."
	case errors.Is(err, context.Canceled):
		return "The request was given up because the program is stopping."
	}
	return ""
}
