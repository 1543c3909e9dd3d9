//! Notifications of a bucket: who is told of changes of its objects (`repair::events` tells them).
//!
//! Where AWS has queues and topics, the operator's configuration has webhooks, by their names
//! (`[events.targets.NAME]`): the last component of an ARN is such a name. Every target receives
//! the message of EventBridge. AWS sends `s3:TestEvent` to a queue or topic that is configured,
//! and nothing to EventBridge: nor do we.
//!
//! Two places say that events are wanted: the bucket's gate, where the index partition writes an
//! event down with its change, and the document in the root group, by which the worker finds out
//! who is told. To switch events on, the gate goes first: no change is acknowledged after the
//! answer that is not written down. To switch them off, the document goes first: a crash in
//! between leaves rows that nobody is told of, not a document whose changes nobody writes down.
//! Two requests at the same time could still end that way; so each looks again at what the other
//! one may have undone (`switch_on`, `switch_off`).

use std::collections::BTreeSet;

use ::notification::{
    Bucket, Configuration, Destination, Filter, Invalid, Notification, Unreadable,
};
use metastore::api::{index::BucketChange, root::ConfigKind};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto::*};

use crate::{
    api::Api,
    errors::{from_objects, invalid_argument, not_implemented},
};

/// `PUT /bucket?notification`: replaces the whole configuration; an empty one ends all
/// notifications.
pub(crate) async fn put_bucket_notification_configuration(
    api: &Api,
    request: S3Request<PutBucketNotificationConfigurationInput>,
) -> S3Result<S3Response<PutBucketNotificationConfigurationOutput>> {
    let input = request.input;
    let bucket = Bucket {
        name: input.bucket,
        region: api.settings.region.clone(),
        account: api.settings.account.clone(),
    };
    let notification = parse(bucket, input.notification_configuration)?;
    notification.check().map_err(invalid)?;
    if !input.skip_destination_validation.unwrap_or(false) {
        check_targets(&notification, &api.settings.event_targets)?;
    }
    if notification.is_empty() {
        switch_off(api, &notification.bucket.name).await?;
    } else {
        switch_on(api, &notification).await?;
    }
    Ok(S3Response::new(PutBucketNotificationConfigurationOutput {}))
}

/// `GET /bucket?notification`: empty if there is none.
pub(crate) async fn get_bucket_notification_configuration(
    api: &Api,
    request: S3Request<GetBucketNotificationConfigurationInput>,
) -> S3Result<S3Response<GetBucketNotificationConfigurationOutput>> {
    let notification = stored(api, &request.input.bucket).await?.unwrap_or_default();
    Ok(S3Response::new(show(notification)))
}

async fn stored(api: &Api, bucket: &str) -> S3Result<Option<Notification>> {
    let stored = api.objects.bucket_config(bucket, ConfigKind::Notification).await;
    let stored = stored.map_err(from_objects)?;
    stored.map(|bytes| Notification::decode(&bytes).map_err(unreadable)).transpose()
}

/// A request that switches off at the same time may close the gate after its document went and
/// before ours came: so the gate is opened once more.
async fn switch_on(api: &Api, notification: &Notification) -> S3Result {
    let name = &notification.bucket.name;
    set_gate(api, name, true).await?;
    set_document(api, name, Some(notification)).await?;
    set_gate(api, name, true).await
}

/// A request that switches on at the same time may be done with all its steps before the gate is
/// closed here: then its document is there, and the gate is opened again.
async fn switch_off(api: &Api, name: &str) -> S3Result {
    set_document(api, name, None).await?;
    set_gate(api, name, false).await?;
    if stored(api, name).await?.is_some() {
        set_gate(api, name, true).await?;
    }
    Ok(())
}

async fn set_gate(api: &Api, name: &str, events: bool) -> S3Result {
    let change = BucketChange::Events(events);
    api.objects.configure_bucket(name, change).await.map_err(from_objects)
}

async fn set_document(api: &Api, name: &str, document: Option<&Notification>) -> S3Result {
    let value = document.map(|it| it.encode().into());
    let set = api.objects.set_bucket_config(name, ConfigKind::Notification, value);
    set.await.map_err(from_objects)
}

fn check_targets(notification: &Notification, configured: &BTreeSet<String>) -> S3Result {
    let named = notification.named_targets();
    match named.into_iter().find(|name| !configured.contains(*name)) {
        None => Ok(()),
        Some(name) => Err(invalid_argument(format!(
            "Unable to validate the following destination configurations: this server has no \
             event target {name:?}. The last component of an ARN must be the name of one \
             (EventBridge is the target {bridge:?}); the operator adds it as \
             [events.targets.{name}] to the configuration of all nodes.",
            bridge = Notification::EVENT_BRIDGE,
        ))),
    }
}

fn invalid(error: Invalid) -> S3Error {
    match error {
        Invalid::Malformed(message) => S3Error::with_message(S3ErrorCode::MalformedXML, message),
        Invalid::Argument(message) => invalid_argument(message),
        never @ Invalid::NeverHappens { .. } => not_implemented(never),
    }
}

fn unreadable(error: Unreadable) -> S3Error {
    from_objects(objects::Error::Internal(error.to_string()))
}

/// The configuration as a request has it; one without an id gets one.
fn parse(bucket: Bucket, given: NotificationConfiguration) -> S3Result<Notification> {
    if given.lambda_function_configurations.is_some_and(|it| !it.is_empty()) {
        return Err(not_implemented("A notification of a Lambda function (CloudFunction)"));
    }
    let mut configurations = Vec::new();
    for TopicConfiguration { events, filter, id, topic_arn } in
        given.topic_configurations.unwrap_or_default()
    {
        configurations.push(parse_one(Destination::Topic, topic_arn, events, filter, id)?);
    }
    for QueueConfiguration { events, filter, id, queue_arn } in
        given.queue_configurations.unwrap_or_default()
    {
        configurations.push(parse_one(Destination::Queue, queue_arn, events, filter, id)?);
    }
    let event_bridge = given.event_bridge_configuration.is_some();
    Ok(Notification { bucket, configurations, event_bridge })
}

fn parse_one(
    destination: Destination,
    arn: String,
    events: EventList,
    filter: Option<NotificationConfigurationFilter>,
    id: Option<String>,
) -> S3Result<Configuration> {
    let rules = filter.and_then(|it| it.key).and_then(|it| it.filter_rules).unwrap_or_default();
    let rules = rules.into_iter().map(|rule| {
        let name = rule.name.map(|name| name.as_str().to_owned());
        (name.unwrap_or_default(), rule.value.unwrap_or_default())
    });
    Ok(Configuration {
        id: id
            .filter(|id| !id.is_empty())
            .unwrap_or_else(|| format!("{:016x}", rand::random::<u64>())),
        destination,
        arn,
        events: events.into_iter().map(String::from).collect(),
        filter: Filter::from_rules(rules).map_err(invalid)?,
    })
}

/// The configuration as an answer has it.
fn show(notification: Notification) -> GetBucketNotificationConfigurationOutput {
    let mut shown = GetBucketNotificationConfigurationOutput {
        event_bridge_configuration: notification
            .event_bridge
            .then(EventBridgeConfiguration::default),
        ..Default::default()
    };
    for Configuration { id, destination, arn, events, filter } in notification.configurations {
        let events = events.into_iter().map(Event::from).collect();
        let (filter, id) = (show_filter(filter), Some(id));
        match destination {
            Destination::Topic => shown
                .topic_configurations
                .get_or_insert_default()
                .push(TopicConfiguration { events, filter, id, topic_arn: arn }),
            Destination::Queue => shown
                .queue_configurations
                .get_or_insert_default()
                .push(QueueConfiguration { events, filter, id, queue_arn: arn }),
        }
    }
    shown
}

fn show_filter(filter: Filter) -> Option<NotificationConfigurationFilter> {
    let rule = |name, value: Option<String>| {
        value.map(|value| FilterRule {
            name: Some(FilterRuleName::from_static(name)),
            value: Some(value),
        })
    };
    let prefix = rule(FilterRuleName::PREFIX, filter.prefix);
    let suffix = rule(FilterRuleName::SUFFIX, filter.suffix);
    let rules: Vec<FilterRule> = prefix.into_iter().chain(suffix).collect();
    (!rules.is_empty()).then_some(NotificationConfigurationFilter {
        key: Some(S3KeyFilter { filter_rules: Some(rules) }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(id: Option<&str>, rules: &[(&str, &str)]) -> QueueConfiguration {
        let rules = rules.iter().map(|(name, value)| FilterRule {
            name: Some(FilterRuleName::from((*name).to_owned())),
            value: Some((*value).to_owned()),
        });
        let filter = NotificationConfigurationFilter {
            key: Some(S3KeyFilter { filter_rules: Some(rules.collect()) }),
        };
        QueueConfiguration {
            events: vec![Event::from("s3:ObjectCreated:*".to_owned())],
            filter: Some(filter),
            id: id.map(str::to_owned),
            queue_arn: "arn:aws:sqs:us-east-1:000000000000:hook".to_owned(),
        }
    }

    fn of_queues(queues: Vec<QueueConfiguration>) -> NotificationConfiguration {
        NotificationConfiguration { queue_configurations: Some(queues), ..Default::default() }
    }

    #[test]
    fn what_is_put_is_what_is_got() {
        let queues = vec![queue(Some("1"), &[("prefix", "a/"), ("suffix", ".jpg")])];
        let topics = vec![TopicConfiguration {
            events: vec![Event::from("s3:ObjectRemoved:Delete".to_owned())],
            filter: None,
            id: Some("2".to_owned()),
            topic_arn: "arn:aws:sns:us-east-1:000000000000:other".to_owned(),
        }];
        let given = NotificationConfiguration {
            event_bridge_configuration: Some(EventBridgeConfiguration::default()),
            queue_configurations: Some(queues.clone()),
            topic_configurations: Some(topics.clone()),
            ..Default::default()
        };
        let stored = parse(Bucket::default(), given).expect("valid");
        assert_eq!(stored.check(), Ok(()));
        let named: Vec<&str> = stored.named_targets().into_iter().collect();
        assert_eq!(named, ["eventbridge", "hook", "other"]);
        let shown = show(stored);
        assert_eq!(shown.queue_configurations, Some(queues));
        assert_eq!(shown.topic_configurations, Some(topics));
        assert!(shown.event_bridge_configuration.is_some());
        assert_eq!(show(Notification::default()), Default::default());
    }

    #[test]
    fn who_gives_no_id_gets_one() {
        let stored = parse(
            Bucket::default(),
            of_queues(vec![queue(None, &[("prefix", "a")]), queue(Some(""), &[("prefix", "b")])]),
        );
        let stored = stored.expect("valid");
        assert_eq!(stored.check(), Ok(()), "they are unique");
        assert!(stored.configurations.iter().all(|it| it.id.len() == 16));
    }

    #[test]
    fn what_is_refused() {
        let code = |given| {
            let error = parse(Bucket::default(), given)
                .and_then(|stored| stored.check().map_err(invalid))
                .expect_err("refused");
            error.code().as_str().to_owned()
        };
        let lambda = vec![LambdaFunctionConfiguration::default()];
        let lambda = NotificationConfiguration {
            lambda_function_configurations: Some(lambda),
            ..Default::default()
        };
        assert_eq!(code(lambda), "NotImplemented");
        let with_event = |event: &str| {
            let events = vec![Event::from(event.to_owned())];
            of_queues(vec![QueueConfiguration { events, ..queue(None, &[]) }])
        };
        assert_eq!(code(with_event("s3:Replication:*")), "NotImplemented");
        assert_eq!(code(with_event("s3:Nothing")), "InvalidArgument");
        let twice = queue(None, &[("prefix", "a"), ("Prefix", "b")]);
        assert_eq!(code(of_queues(vec![twice])), "InvalidArgument");
        let error = check_targets(
            &parse(Bucket::default(), of_queues(vec![queue(None, &[])])).expect("valid"),
            &BTreeSet::from(["other".to_owned()]),
        )
        .expect_err("there is no such target");
        let message = error.message().unwrap_or_default();
        assert!(message.contains("[events.targets.hook]"), "{message}");
    }
}
