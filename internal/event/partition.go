package event

// PartitionOf is the partition of a key among n: murmur2, the way in which Kafka's
// Java client and those that follow it place a record, so that tools which compute
// it agree.
func PartitionOf(key []byte, n int32) int32 {
	return int32(murmur2(key)&0x7fffffff) % n
}

// murmur2 is the 32-bit hash of that name with the seed of Kafka's Java client.
func murmur2(data []byte) uint32 {
	const (
		seed  uint32 = 0x9747b28c
		mix   uint32 = 0x5bd1e995
		shift        = 24
	)
	hash := seed ^ uint32(len(data))
	for len(data) >= 4 {
		word := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
		word *= mix
		word ^= word >> shift
		hash = hash*mix ^ word*mix
		data = data[4:]
	}
	for i := len(data) - 1; i >= 0; i-- {
		hash ^= uint32(data[i]) << (8 * i)
		if i == 0 {
			hash *= mix
		}
	}
	hash ^= hash >> 13
	hash *= mix
	return hash ^ hash>>15
}
