//! Between domain types and generated messages. Whatever a peer sends that is not
//! what the `.proto` files say is `Invalid` with the field's name.

use types::{
    BlobId, BucketId, ChunkDigest, ClusterId, FeatureLevel, GroupId, InstanceId, NodeId, ShardId,
    UnixMillis, UploadId, WriteIntent,
};

use bytes::Bytes;

use crate::{
    RpcError, RpcErrorKind,
    meta::Hello,
    pb,
    raft::RaftAddress,
    shards::{Chunk, DiskStat, PutChunks, ShardEntry, ShardState, Verified},
};

/// The longest message of a unary call, in bytes: room for the largest put, inventory
/// page or batch of log entries, with their framing.
pub const MESSAGE_BYTES_MAX: usize = 20 << 20;

/// The longest chunk of a snapshot stream, in bytes: 1 MiB and its framing.
pub const SNAPSHOT_CHUNK_BYTES_MAX: usize = (1 << 20) + (64 << 10);

fn invalid(field: &str) -> RpcError {
    RpcError::new(RpcErrorKind::Invalid, format!("malformed message: {field}"))
}

/// The value of a field that must be there.
pub(crate) fn required<T>(value: Option<T>, field: &str) -> Result<T, RpcError> {
    value.ok_or_else(|| invalid(field))
}

fn array<const N: usize>(bytes: &[u8], field: &str) -> Result<[u8; N], RpcError> {
    bytes.try_into().map_err(|_| invalid(field))
}

fn id_bytes(id: &[u8; 16]) -> Bytes {
    Bytes::copy_from_slice(id)
}

pub(crate) fn raft_request(address: RaftAddress, payload: Bytes) -> pb::RaftRequest {
    let address = pb::RaftAddress {
        cluster: id_bytes(address.cluster.as_bytes()),
        group: address.group.0,
        from: address.from.0,
        from_instance: id_bytes(address.from_instance.as_bytes()),
        to: address.to.0,
    };
    pb::RaftRequest { address: Some(address), payload }
}

pub(crate) fn raft_address(request: &pb::RaftRequest) -> Result<RaftAddress, RpcError> {
    let address = request.address.as_ref().ok_or_else(|| invalid("address"))?;
    Ok(RaftAddress {
        cluster: ClusterId::from_bytes(array(&address.cluster, "address.cluster")?),
        group: GroupId(address.group),
        from: NodeId(address.from),
        from_instance: InstanceId::from_bytes(array(&address.from_instance, "from_instance")?),
        to: NodeId(address.to),
    })
}

impl From<Hello> for pb::HelloReply {
    fn from(hello: Hello) -> Self {
        Self {
            cluster: hello.cluster.map(|id| id_bytes(id.as_bytes())),
            node: hello.node.0,
            known_instance: hello.known_instance.map(|id| id_bytes(id.as_bytes())),
            version: hello.version,
            level: hello.level.map(|level| level.0),
            nodes: hello.nodes.into_iter().map(|(node, address)| (node.0, address)).collect(),
        }
    }
}

impl TryFrom<pb::HelloReply> for Hello {
    type Error = RpcError;

    fn try_from(reply: pb::HelloReply) -> Result<Self, RpcError> {
        let cluster = reply.cluster.map(|id| array(&id, "cluster")).transpose()?;
        let instance = reply.known_instance.map(|id| array(&id, "known_instance")).transpose()?;
        Ok(Self {
            cluster: cluster.map(ClusterId::from_bytes),
            node: NodeId(reply.node),
            known_instance: instance.map(InstanceId::from_bytes),
            version: reply.version,
            level: reply.level.map(FeatureLevel),
            nodes: reply.nodes.into_iter().map(|(id, address)| (NodeId(id), address)).collect(),
        })
    }
}

impl From<ShardId> for pb::ShardId {
    fn from(shard: ShardId) -> Self {
        Self { blob: id_bytes(shard.blob.as_bytes()), rank: shard.rank.into() }
    }
}

impl TryFrom<pb::ShardId> for ShardId {
    type Error = RpcError;

    fn try_from(shard: pb::ShardId) -> Result<Self, RpcError> {
        Ok(Self {
            blob: BlobId::from_bytes(array(&shard.blob, "shard.blob")?),
            rank: u8::try_from(shard.rank).map_err(|_| invalid("shard.rank"))?,
        })
    }
}

/// Shard ids of a message that has several.
pub(crate) fn shard_ids(shards: Vec<pb::ShardId>) -> Result<Vec<ShardId>, RpcError> {
    shards.into_iter().map(ShardId::try_from).collect()
}

impl From<Chunk> for pb::Chunk {
    fn from(chunk: Chunk) -> Self {
        Self { bytes: chunk.bytes, digest: Bytes::copy_from_slice(&chunk.digest.0) }
    }
}

impl TryFrom<pb::Chunk> for Chunk {
    type Error = RpcError;

    fn try_from(chunk: pb::Chunk) -> Result<Self, RpcError> {
        let digest = ChunkDigest(array(&chunk.digest, "chunk.digest")?);
        Ok(Self { bytes: chunk.bytes, digest })
    }
}

impl From<WriteIntent> for pb::WriteIntent {
    fn from(intent: WriteIntent) -> Self {
        Self {
            bucket: intent.bucket.0,
            key: intent.key,
            part: intent.part.map(|(upload, number)| pb::UploadPart {
                upload: id_bytes(upload.as_bytes()),
                number: number.into(),
            }),
            deadline_ms: intent.deadline.0,
        }
    }
}

impl TryFrom<pb::WriteIntent> for WriteIntent {
    type Error = RpcError;

    fn try_from(intent: pb::WriteIntent) -> Result<Self, RpcError> {
        let part = |part: pb::UploadPart| {
            let number = u16::try_from(part.number).map_err(|_| invalid("part.number"))?;
            Ok((UploadId::from_bytes(array(&part.upload, "part.upload")?), number))
        };
        Ok(Self {
            bucket: BucketId(intent.bucket),
            key: intent.key,
            part: intent.part.map(part).transpose()?,
            deadline: UnixMillis(intent.deadline_ms),
        })
    }
}

/// The domain form of a put, without its disk.
pub(crate) fn put_chunks(request: pb::PutRequest) -> Result<PutChunks, RpcError> {
    Ok(PutChunks {
        shard: required(request.shard, "shard")?.try_into()?,
        intent: required(request.intent, "intent")?.try_into()?,
        first_stripe: request.first_stripe,
        chunks: request.chunks.into_iter().map(Chunk::try_from).collect::<Result<_, _>>()?,
        seal: request.seal,
    })
}

impl From<ShardEntry> for pb::ShardEntry {
    fn from(entry: ShardEntry) -> Self {
        let state = match entry.state {
            ShardState::Pending => pb::ShardState::Pending,
            ShardState::Confirmed => pb::ShardState::Confirmed,
        };
        Self {
            shard: Some(entry.shard.into()),
            state: state.into(),
            intent: Some(entry.intent.into()),
            stripes: entry.stripes,
            bytes: entry.bytes,
        }
    }
}

impl TryFrom<pb::ShardEntry> for ShardEntry {
    type Error = RpcError;

    fn try_from(entry: pb::ShardEntry) -> Result<Self, RpcError> {
        let state = match entry.state() {
            pb::ShardState::Pending => ShardState::Pending,
            pb::ShardState::Confirmed => ShardState::Confirmed,
            pb::ShardState::Unspecified => return Err(invalid("entry.state")),
        };
        Ok(Self {
            shard: required(entry.shard, "entry.shard")?.try_into()?,
            state,
            intent: required(entry.intent, "entry.intent")?.try_into()?,
            stripes: entry.stripes,
            bytes: entry.bytes,
        })
    }
}

impl From<Verified> for pb::VerifyReply {
    fn from(verified: Verified) -> Self {
        Self {
            shards: verified.shards,
            bytes: verified.bytes,
            bad: verified.bad.into_iter().map(pb::ShardEntry::from).collect(),
            next: verified.next.map(pb::ShardId::from),
        }
    }
}

impl TryFrom<pb::VerifyReply> for Verified {
    type Error = RpcError;

    fn try_from(reply: pb::VerifyReply) -> Result<Self, RpcError> {
        Ok(Self {
            shards: reply.shards,
            bytes: reply.bytes,
            bad: reply.bad.into_iter().map(ShardEntry::try_from).collect::<Result<_, _>>()?,
            next: reply.next.map(ShardId::try_from).transpose()?,
        })
    }
}

impl From<DiskStat> for pb::StatReply {
    fn from(stat: DiskStat) -> Self {
        Self {
            capacity_bytes: stat.capacity_bytes,
            used_bytes: stat.used_bytes,
            writable: stat.writable,
            readable: stat.readable,
            at_ms: stat.at.0,
        }
    }
}

impl From<pb::StatReply> for DiskStat {
    fn from(reply: pb::StatReply) -> Self {
        Self {
            capacity_bytes: reply.capacity_bytes,
            used_bytes: reply.used_bytes,
            writable: reply.writable,
            readable: reply.readable,
            at: UnixMillis(reply.at_ms),
        }
    }
}
