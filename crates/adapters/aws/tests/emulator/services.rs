use super::{Stage, stage};
use aws_sdk_ecs::types::{
    Compatibility, ContainerDefinition, EphemeralStorage, KeyValuePair, NetworkMode, Tag,
    TaskDefinition, Volume,
};
use domain::error::ErrorName;
use engine::{RolloutProgress, Services as _, TaskRevision};

async fn template(stage: &Stage) -> String {
    let pair = |name: &str, value: &str| KeyValuePair::builder().name(name).value(value);
    let tag = Tag::builder().key("owner").value("terraform").build();
    let shop = ContainerDefinition::builder()
        .name("shop")
        .image("placeholder")
        .cpu(128)
        .environment(pair("A", "1").build())
        .environment(pair("SLUICEGATE_COMMIT", "none").build());
    let proxy = ContainerDefinition::builder().name("proxy").image("envoy");
    let answer = aws_sdk_ecs::Client::new(&stage.config)
        .register_task_definition()
        .family(&stage.name)
        .network_mode(NetworkMode::Awsvpc)
        .requires_compatibilities(Compatibility::Fargate)
        .cpu("256")
        .memory("512")
        .task_role_arn("arn:aws:iam::000000000000:role/task")
        .execution_role_arn("arn:aws:iam::000000000000:role/execution")
        .ephemeral_storage(EphemeralStorage::builder().size_in_gib(30).build())
        .volumes(Volume::builder().name("scratch").build())
        .container_definitions(shop.build())
        .container_definitions(proxy.build())
        .tags(tag)
        .send()
        .await
        .unwrap();
    answer.task_definition.unwrap().task_definition_arn.unwrap()
}

async fn definition(stage: &Stage, arn: &str) -> TaskDefinition {
    let answer = aws_sdk_ecs::Client::new(&stage.config)
        .describe_task_definition()
        .task_definition(arn)
        .send()
        .await
        .unwrap();
    answer.task_definition.unwrap()
}

#[tokio::test]
async fn a_revision_differs_from_its_template_in_image_and_variables_only() {
    let stage = stage("revision").await;
    let template = template(&stage).await;
    let ecs = aws::Ecs::new(&stage.clients);
    let revision = TaskRevision {
        template: template.clone(),
        container: "shop".into(),
        image: "r/shop@sha256:1".into(),
        environment: [("SLUICEGATE_COMMIT".to_owned(), "c1".to_owned())].into(),
    };
    let arn = ecs.register(&revision).await.unwrap();
    assert_ne!(arn, template);
    let (before, after) = (
        definition(&stage, &template).await,
        definition(&stage, &arn).await,
    );
    let shop = &after.container_definitions()[0];
    assert_eq!(shop.image(), Some("r/shop@sha256:1"));
    let mut environment: Vec<_> = shop
        .environment()
        .iter()
        .map(|pair| (pair.name().unwrap(), pair.value().unwrap()))
        .collect();
    environment.sort_unstable();
    assert_eq!(environment, [("A", "1"), ("SLUICEGATE_COMMIT", "c1")]);
    assert_eq!(after.family, before.family);
    assert_eq!(after.network_mode, before.network_mode);
    assert_eq!((after.cpu, after.memory), (before.cpu, before.memory));
    assert_eq!(after.task_role_arn, before.task_role_arn);
    assert_eq!(after.execution_role_arn, before.execution_role_arn);
    assert_eq!(after.ephemeral_storage, before.ephemeral_storage);
    assert_eq!(after.volumes, before.volumes);
    assert_eq!(
        after.requires_compatibilities,
        before.requires_compatibilities
    );
    let containers = |definition: Option<Vec<ContainerDefinition>>| definition.unwrap();
    let (before, after) = (
        containers(before.container_definitions),
        containers(after.container_definitions),
    );
    assert_eq!(after[1], before[1]);
    assert_eq!(after[0].cpu(), before[0].cpu());
}

#[tokio::test]
async fn a_service_rolls_out_the_given_task_definition() {
    let stage = stage("service").await;
    let template = template(&stage).await;
    let setup = aws_sdk_ecs::Client::new(&stage.config);
    let cluster = setup
        .create_cluster()
        .cluster_name(&stage.name)
        .send()
        .await
        .unwrap();
    let cluster = cluster.cluster.unwrap().cluster_arn.unwrap();
    setup
        .create_service()
        .cluster(&cluster)
        .service_name("shop")
        .task_definition(&template)
        .desired_count(0)
        .send()
        .await
        .unwrap();
    let ecs = aws::Ecs::new(&stage.clients);
    let state = ecs.describe(&cluster, "shop").await.unwrap();
    assert_eq!(
        (state.task_definition, state.desired),
        (template.clone(), 0)
    );
    let revision = TaskRevision {
        template,
        container: "shop".into(),
        image: "r/shop@sha256:1".into(),
        environment: Default::default(),
    };
    let arn = ecs.register(&revision).await.unwrap();
    ecs.update(&cluster, "shop", &arn, Some(2)).await.unwrap();
    let state = ecs.describe(&cluster, "shop").await.unwrap();
    assert_eq!((state.task_definition, state.desired), (arn.clone(), 2));
    assert_eq!(state.rollouts[0].task_definition, arn);
    assert_ne!(state.rollouts[0].progress, RolloutProgress::Failed);
    let error = ecs.describe(&cluster, "none").await.unwrap_err();
    assert_eq!(error.name, ErrorName::AwsRefused, "{error}");
    let error = ecs.update(&cluster, "none", &arn, None).await.unwrap_err();
    assert_eq!(error.name, ErrorName::AwsRefused, "{error}");
}
