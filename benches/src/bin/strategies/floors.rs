//! What the strategies are made of, and what one would write without them.

use std::sync::Arc;

use futures::StreamExt;
use futures::future::join_all;
use llm_benches::{Group, Maker, Row, each};
use llm_protocol::{Error, ErrorKind, ModelAdapter, Progress, Request, Response, ResponseBuilder};

use crate::models::{Gives, Model};
use crate::shared::{calls, request};

pub(crate) fn group() -> Group {
    Group {
        title: "Floors: the models themselves, and what one would write by hand",
        rows: vec![
            Row::new(
                "floor/call",
                "one call of a model that does not stream, through dyn ModelAdapter",
                || Ok(hand(&[Gives::Answer])),
            ),
            Row::new("floor/two", "a loop over three models, the first overloaded: two calls", || {
                Ok(hand(&[Gives::Overload, Gives::Answer, Gives::Answer]))
            }),
            Row::new("floor/join-5", "join_all over the calls of 5 models", || Ok(join(5))),
            Row::new("floor/join-20", "join_all over the calls of 20 models", || Ok(join(20))),
            Row::new(
                "floor/stream-1",
                "a stream with 1 piece of text, collected by a ResponseBuilder",
                || Ok(stream(1)),
            ),
            Row::new(
                "floor/stream-64",
                "a stream with 64 pieces of text, collected by a ResponseBuilder",
                || Ok(stream(64)),
            ),
            Row::new(
                "floor/request",
                "the request, cloned and dropped, as by whoever does not share it",
                || {
                    let request = request();
                    each(move |_| {
                        let request = request.clone();
                        move || !request.clone().messages.is_empty()
                    })
                },
            ),
            Row::new(
                "floor/error",
                "an error made and dropped, its message scrubbed (models here clone theirs)",
                || each(|_| || !Error::new(ErrorKind::Overloaded, "try again later").message().is_empty()),
            ),
        ],
    }
}

type Models = Arc<[Arc<dyn ModelAdapter>]>;

fn models(gives: &[Gives]) -> Models {
    let models = gives.iter().enumerate();
    models.map(|(number, &gives)| Arc::new(Model::new(number, gives)) as Arc<dyn ModelAdapter>).collect()
}

/// A failover, as short as it can be.
async fn first_answer(models: &Models, request: &Request, progress: &Progress) -> Option<Response> {
    for model in models.iter() {
        if let Ok(response) = model.generate(request, progress).await {
            return Some(response);
        }
    }
    None
}

fn hand(gives: &[Gives]) -> Maker {
    let models = models(gives);
    calls(move || {
        let (models, request, progress) = (models.clone(), request(), Progress::new());
        async move || first_answer(&models, &request, &progress).await.is_some()
    })
}

fn join(count: usize) -> Maker {
    let models = models(&vec![Gives::Answer; count]);
    calls(move || {
        let (models, request, progress) = (models.clone(), request(), Progress::new());
        async move || {
            let answers = join_all(models.iter().map(|model| model.generate(&request, &progress))).await;
            answers.iter().all(Result::is_ok)
        }
    })
}

fn stream(pieces: usize) -> Maker {
    let models = models(&[Gives::Stream(pieces)]);
    calls(move || {
        let (models, request, progress) = (models.clone(), request(), Progress::new());
        async move || collect(&models, &request, &progress).await.is_some_and(|answer| answer.is_finished())
    })
}

async fn collect(models: &Models, request: &Request, progress: &Progress) -> Option<ResponseBuilder> {
    let model = models.first()?.capabilities().streaming()?;
    let mut events = model.stream(request, progress).await.ok()?;
    let mut answer = ResponseBuilder::default();
    while let Some(event) = events.next().await {
        answer.absorb(&event.ok()?);
    }
    Some(answer)
}
