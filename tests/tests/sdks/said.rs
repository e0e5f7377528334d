//! An answer in a form that our adapters and the SDKs both come to.

use futures::StreamExt;
use llm_adapters::{Anthropic, HttpClient, OpenAi};
use llm_protocol::{
    Error, FinishReason, ModelAdapter, Progress, Request, Response, ResponseBuilder, StreamingModelAdapter,
    Usage,
};
use llm_simulator::Wire;
use llm_tests::within;
use serde_json::Value;

/// What an answer says. Whether there is no reasoning or an empty one is the same here.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) reasoning: String,
    pub(crate) refusal: Option<String>,
    /// Id, name and arguments.
    pub(crate) calls: Vec<(String, String, Value)>,
    /// `None` while it has not ended.
    pub(crate) finish: Option<FinishReason>,
    pub(crate) usage: Usage,
    pub(crate) model: Option<String>,
}

/// What our adapter makes of an answer; what came before an error, too.
#[derive(Debug)]
pub(crate) struct Ours {
    pub(crate) said: Said,
    pub(crate) error: Option<Error>,
}

/// Has our adapter read what is at this base URL.
pub(crate) async fn ours(http: &HttpClient, provider: &str, wire: Wire, url: &str, stream: bool) -> Ours {
    let http = http.clone();
    if wire == Wire::OpenAi {
        let adapter = OpenAi::builder("m").provider(provider).base_url(format!("{url}/v1")).http_client(http);
        read(&adapter.build().unwrap(), stream).await
    } else {
        let adapter = Anthropic::builder("m").provider(provider).base_url(url).http_client(http);
        read(&adapter.build().unwrap(), stream).await
    }
}

async fn read<A: ModelAdapter + StreamingModelAdapter>(adapter: &A, stream: bool) -> Ours {
    let (request, progress) = (Request::from("Hi").max_tokens(100), Progress::new());
    within(async {
        if !stream {
            return match adapter.generate(&request, &progress).await {
                Ok(response) => Ours { said: Said::ours(&response, true), error: None },
                Err(error) => Ours { said: Said::default(), error: Some(error) },
            };
        }
        let mut events = match adapter.stream(&request, &progress).await {
            Ok(events) => events,
            Err(error) => return Ours { said: Said::default(), error: Some(error) },
        };
        let (mut builder, mut error) = (ResponseBuilder::default(), None);
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => builder.absorb(&event),
                Err(cause) => error = Some(cause),
            }
        }
        let finished = builder.is_finished();
        Ours { said: Said::ours(&builder.into_response(), finished), error }
    })
    .await
}

impl Said {
    fn ours(response: &Response, finished: bool) -> Self {
        let calls = response.tool_calls.iter();
        Self {
            text: response.text.clone(),
            reasoning: response.reasoning.clone().unwrap_or_default(),
            refusal: response.refusal.clone(),
            calls: calls
                .map(|call| (call.id.clone(), call.name.clone(), arguments(&call.arguments)))
                .collect(),
            finish: finished.then_some(response.finish_reason),
            usage: response.usage,
            model: response.model_id.clone(),
        }
    }

    /// What an SDK says, from the words of the vendor into ours.
    pub(crate) fn sdk(wire: Wire, said: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let call = |call: &Value| {
            let given = call[2].as_str().map_or_else(|| call[2].clone(), arguments);
            (text(&call[0]), text(&call[1]), given)
        };
        Self {
            text: text(&said["text"]),
            reasoning: text(&said["reasoning"]),
            refusal: said["refusal"].as_str().map(str::to_owned),
            calls: said["calls"].as_array().into_iter().flatten().map(call).collect(),
            finish: said["finish"].as_str().map(|word| finish(wire, word)),
            usage: if wire == Wire::OpenAi { openai(&said["usage"]) } else { anthropic(&said["usage"]) },
            model: said["model"].as_str().map(str::to_owned),
        }
    }
}

/// What a call without arguments says of them differs, and what is no JSON stays a text.
fn arguments(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|_| json.into())
}

/// The vendors' words for why an answer ended, and ours.
fn finish(wire: Wire, word: &str) -> FinishReason {
    match (wire, word) {
        (Wire::OpenAi, "stop") | (Wire::Anthropic, "end_turn" | "stop_sequence") => FinishReason::Stop,
        (Wire::OpenAi, "length") | (Wire::Anthropic, "max_tokens" | "model_context_window_exceeded") => {
            FinishReason::Length
        }
        (Wire::OpenAi, "tool_calls") | (Wire::Anthropic, "tool_use") => FinishReason::ToolCalls,
        (Wire::OpenAi, "content_filter") | (Wire::Anthropic, "refusal") => FinishReason::ContentFilter,
        _ => FinishReason::Unknown,
    }
}

/// OpenAI counts what is cached in the prompt.
fn openai(usage: &Value) -> Usage {
    let details = &usage["prompt_tokens_details"];
    let (read, written) = (details["cached_tokens"].as_u64(), details["cache_write_tokens"].as_u64());
    let cached = read.unwrap_or_default() + written.unwrap_or_default();
    Usage {
        input_tokens: usage["prompt_tokens"].as_u64().map(|prompt| prompt - cached),
        output_tokens: usage["completion_tokens"].as_u64(),
        cache_read_tokens: read,
        cache_write_tokens: written,
        reasoning_tokens: usage["completion_tokens_details"]["reasoning_tokens"].as_u64(),
    }
}

fn anthropic(usage: &Value) -> Usage {
    Usage {
        input_tokens: usage["input_tokens"].as_u64(),
        output_tokens: usage["output_tokens"].as_u64(),
        cache_read_tokens: usage["cache_read_input_tokens"].as_u64(),
        cache_write_tokens: usage["cache_creation_input_tokens"].as_u64(),
        reasoning_tokens: usage["output_tokens_details"]["thinking_tokens"].as_u64(),
    }
}
