//! Generated metadata service to [`MetaService`].

use std::sync::Arc;

use tonic::{Request, Response, Status};
use types::{Epoch, GroupId, NodeId};

use crate::{
    meta::MetaService,
    pb::{self, meta_server::Meta},
    status::to_status,
};

pub(super) struct Glue(pub(super) Arc<dyn MetaService>);

#[tonic::async_trait]
impl Meta for Glue {
    async fn hello(
        &self,
        request: Request<pb::HelloRequest>,
    ) -> Result<Response<pb::HelloReply>, Status> {
        let asker = NodeId(request.into_inner().asker);
        let hello = self.0.hello(asker).await.map_err(to_status)?;
        Ok(Response::new(hello.into()))
    }

    async fn propose(
        &self,
        request: Request<pb::ProposeRequest>,
    ) -> Result<Response<pb::ProposeReply>, Status> {
        let pb::ProposeRequest { group, epoch, command } = request.into_inner();
        let answer = self.0.propose(GroupId(group), Epoch(epoch), command).await;
        Ok(Response::new(pb::ProposeReply { answer: answer.map_err(to_status)? }))
    }

    async fn query(
        &self,
        request: Request<pb::QueryRequest>,
    ) -> Result<Response<pb::QueryReply>, Status> {
        let pb::QueryRequest { group, epoch, query } = request.into_inner();
        let answer = self.0.query(GroupId(group), Epoch(epoch), query).await;
        Ok(Response::new(pb::QueryReply { answer: answer.map_err(to_status)? }))
    }

    async fn heartbeat(
        &self,
        request: Request<pb::HeartbeatRequest>,
    ) -> Result<Response<pb::HeartbeatReply>, Status> {
        let epoch = self.0.heartbeat(request.into_inner().report).await.map_err(to_status)?;
        Ok(Response::new(pb::HeartbeatReply { map_epoch: epoch.0 }))
    }

    async fn status(
        &self,
        _request: Request<pb::StatusRequest>,
    ) -> Result<Response<pb::StatusReply>, Status> {
        let status = self.0.status().await.map_err(to_status)?;
        Ok(Response::new(pb::StatusReply { status }))
    }
}
