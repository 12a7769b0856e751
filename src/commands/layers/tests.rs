use super::*;
use crate::{
    event::{Body, Command, Header, LayerClock, LayerTime, Layers, Precision, RunId, SCHEMA as STREAM},
    testing::{Script, config},
};

/// Layers of a batch that were made up: a convolution with its activation, and a pool.
fn made_up(run: RunId, config: &Config) -> Layers {
    let layer = |kind: &str, detail: &str, macs, bytes, time_ns, within| LayerTime {
        kind: kind.to_owned(),
        detail: detail.to_owned(),
        output: vec![u64::from(config.batch), 64, 55, 55],
        params: 0,
        macs,
        bytes,
        time_ns,
        within,
    };
    Layers {
        run,
        config: config.clone(),
        passes: 12,
        clock: LayerClock::Wall,
        whole_ns: 4_000_000,
        sum_ns: 3_900_000,
        whole_wall_ns: 4_000_000,
        instrumented_wall_ns: 4_080_000,
        layers: vec![
            layer("conv", "64 × 11×11 /4 pad 2", 70_276_800, 1_471_000, 2_000_000, None),
            layer("relu", "", 0, 0, 0, Some(0)),
            layer("concat", "32 + 32", 0, 0, 0, None),
            layer("max pool", "3×3 /2", 0, 961_000, 400_000, None),
            layer("linear", "9216 → 4096", 37_748_736, 151_000_000, 1_500_000, None),
        ],
    }
}

#[derive(Default)]
struct Kept(Vec<Record>);

impl Observer for Kept {
    fn progress(&mut self, _: &State) {}

    fn measured(&mut self, _: &State, record: Record) -> io::Result<()> {
        self.0.push(record);
        Ok(())
    }
}

/// Measures on an agent that answers each configuration with `answer` as soon as it is steady.
async fn measured(configs: &[Config], answer: fn(RunId, &Config) -> Vec<Body>) -> (End, Vec<Record>) {
    let (flops, bytes_per_s) = (130e9, 12.5e9);
    let header = Header { schema: STREAM, host: "bench".into(), folded: true, ..Header::default() };
    let device = "cpu".to_owned();
    let before = vec![
        Body::Header(header),
        Body::Peak {
            device: device.clone(),
            precision: Precision::F32,
            flops,
            how: "multiply-adds in registers".into(),
        },
        Body::Bandwidth { device, bytes_per_s, how: "copying 128 MiB on every core".into() },
    ];
    let (agent, script) = Script::start(before, move |events, run, config| {
        events.warm_up(run, config);
        answer(run, config).into_iter().for_each(|body| events.push(body));
    });
    let mut kept = Kept::default();
    let end =
        measure(agent.into(), configs, &mut Recording::default(), std::future::pending(), &mut kept).await.unwrap();
    let heard = script.await.unwrap();
    assert!(heard.contains(&Command::Layers), "{heard:?}");
    (end, kept.0)
}

#[tokio::test]
async fn a_table_tells_what_limits_each_layer() {
    let (end, records) =
        measured(&[config("alexnet", 1)], |run, config| vec![Body::Layers(made_up(run, config))]).await;
    assert_eq!((end, records.len()), (End::Complete, 1));
    insta::assert_snapshot!(records[0].text());
}

#[tokio::test]
async fn what_fails_is_said_and_the_rest_is_measured() {
    let configs = [config("alexnet", 512), config("alexnet", 8), config("alexnet", 1)];
    let (end, records) = measured(&configs, |run, config| match config.batch {
        512 => {
            let (config, message) = (config.clone(), "memory allocation of 4096 bytes failed".to_owned());
            vec![Body::OutOfMemory { run, config, requested_bytes: Some(4096), message }]
        }
        8 => vec![Body::NoLayers { run, config: config.clone(), reason: "an operation".to_owned() }],
        _ => vec![Body::Layers(made_up(run, config))],
    })
    .await;
    assert_eq!(end, End::Complete);
    let of = |record: &Record| match &record.outcome {
        Outcome::Failed { error, out_of_memory, requested_bytes } => {
            Some((error.clone(), *out_of_memory, *requested_bytes))
        }
        Outcome::Measured(_) => None,
    };
    let failed: Vec<_> = records.iter().map(of).collect();
    assert_eq!(failed[0], Some(("out of memory: memory allocation of 4096 bytes failed".to_owned(), true, Some(4096))));
    assert_eq!((failed[1].clone(), failed[2].clone()), (Some(("an operation".to_owned(), false, None)), None));
}
