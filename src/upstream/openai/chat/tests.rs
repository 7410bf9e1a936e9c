use serde_json::{Value, json};

use super::OpenAi;
use crate::call::chat::{
    Answer, Choice, Delta, Effort, Event, Finish, Format, Function, Media, Message, Part,
    Reasoning, Request, Role, Source, Text, Thinking, Tool, ToolCall, ToolChoice, ToolResult,
};
use crate::upstream::example::{self, decoded};
use crate::upstream::protocol::{Ask, Broken, Params, Protocol, Task, Unfit};

fn sent_to(model: &str, params: Params<'_>, chat: &Request) -> Result<Value, Unfit> {
    example::written(model, Task::Chat, params, |ask| {
        OpenAi.write_chat(ask, chat)
    })
}

fn sent(chat: &Request) -> Value {
    sent_to("openai/gpt-4o", Params::default(), chat).unwrap()
}

fn says(role: Role, parts: Vec<Part>) -> Message {
    Message {
        role,
        parts,
        name: None,
    }
}

#[test]
fn a_conversation_has_openais_form() {
    let image = Media {
        source: Source::Base64("AAAA".into()),
        mime: Some("image/png".into()),
        ..Media::default()
    };
    let chat = Request {
        messages: vec![
            Message::text(Role::System, "be brief"),
            Message::text(Role::User, "look"),
            says(
                Role::Assistant,
                vec![
                    Part::Thinking(Thinking {
                        text: "hm".into(),
                        signature: Some("s".into()),
                        redacted: None,
                    }),
                    Part::Call(ToolCall {
                        id: "c".into(),
                        name: "f".into(),
                        ..ToolCall::default()
                    }),
                ],
            ),
            says(
                Role::User,
                vec![
                    Part::Result(ToolResult {
                        id: "c".into(),
                        parts: vec![Part::text("seen"), Part::Image(image)],
                        ..ToolResult::default()
                    }),
                    Part::text("and now?"),
                ],
            ),
        ],
        max_tokens: Some(9),
        ..Request::default()
    };
    assert_eq!(
        sent(&chat),
        json!({
            "model": "gpt-4o", "max_completion_tokens": 9,
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": "look"},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "c", "content": "seen"},
                {"role": "user", "content": [
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                    {"type": "text", "text": "and now?"}]},
            ],
        })
    );
}

#[test]
fn parameters_go_by_openais_names() {
    let chat = Request {
        tools: vec![Tool::Function(Function {
            name: "f".into(),
            parameters: Some(json!({"type": "object"}).into()),
            strict: Some(true),
            ..Function::default()
        })],
        tool_choice: Some(ToolChoice::Function("f".into())),
        parallel_tool_calls: Some(false),
        format: Some(Format::Schema {
            name: "s".into(),
            description: None,
            schema: json!({"type": "object"}),
            strict: Some(true),
        }),
        stop: vec!["END".into()],
        user: Some("u".into()),
        ..Request::default()
    };
    let body = sent(&chat);
    assert_eq!(body["tools"][0]["function"]["strict"], true);
    assert_eq!(body["tool_choice"]["function"]["name"], "f");
    assert_eq!(body["parallel_tool_calls"], false);
    assert_eq!(body["response_format"]["json_schema"]["name"], "s");
    assert_eq!(
        (&body["stop"], &body["user"]),
        (&json!(["END"]), &json!("u"))
    );
}

#[test]
fn a_model_that_thinks_first_lacks_what_shapes_its_words() {
    let chat = |temperature: f64| Request {
        temperature: serde_json::Number::from_f64(temperature),
        reasoning: Some(Reasoning {
            budget: Some(6_000),
            ..Reasoning::default()
        }),
        ..Request::default()
    };
    for model in ["openai/o3-mini", "openai/gpt-5-nano"] {
        let unfit = sent_to(model, Params::default(), &chat(0.2)).unwrap_err();
        assert_eq!(
            (unfit.param.as_deref(), unfit.droppable),
            (Some("temperature"), true)
        );
        let drop = Params {
            drop: true,
            ..Params::default()
        };
        let body = sent_to(model, drop, &chat(0.2)).unwrap();
        assert_eq!(body.get("temperature"), None);
        assert_eq!(body["reasoning_effort"], "medium");
        assert!(sent_to(model, Params::default(), &chat(1.0)).is_ok());
    }
    // One that is known not to think is not asked to.
    assert_eq!(sent(&chat(0.2)).get("reasoning_effort"), None);
}

#[test]
fn what_a_vendor_has_is_its_own() {
    let chat = Request {
        messages: vec![says(
            Role::Assistant,
            vec![
                Part::Thinking(Thinking {
                    text: "hm".into(),
                    ..Thinking::default()
                }),
                Part::text("so"),
            ],
        )],
        top_k: Some(3),
        max_tokens: Some(5),
        seed: Some(1),
        reasoning: Some(Reasoning {
            effort: Some(Effort::High),
            ..Reasoning::default()
        }),
        ..Request::default()
    };
    let deepseek = sent_to("deepseek/deepseek-reasoner", Params::default(), &chat).unwrap();
    assert_eq!(deepseek["messages"][0]["reasoning_content"], "hm");
    assert_eq!(
        (&deepseek["top_k"], &deepseek["max_tokens"]),
        (&json!(3), &json!(5))
    );
    let mistral = sent_to("mistral/m", Params::default(), &chat).unwrap();
    assert_eq!(mistral["random_seed"], 1);
    let unfit = sent_to("openai/gpt-4o", Params::default(), &chat).unwrap_err();
    assert_eq!(unfit.param.as_deref(), Some("top_k"));
}

#[test]
fn what_openai_cannot_be_told_is_refused() {
    let document = Media {
        source: Source::Url("https://e.example/a.pdf".into()),
        ..Media::default()
    };
    let chat = Request {
        messages: vec![says(Role::User, vec![Part::Document(document)])],
        ..Request::default()
    };
    let unfit = sent_to("openai/gpt-4o", Params::default(), &chat).unwrap_err();
    assert_eq!(
        (unfit.param.as_deref(), unfit.droppable),
        (Some("messages"), false)
    );
}

fn ask<R>(use_: impl FnOnce(&Ask<'_>) -> R) -> R {
    let mut result = None;
    let written = example::written("openai/gpt-4o", Task::Chat, Params::default(), |ask| {
        result = Some(use_(ask));
        OpenAi.write_chat(ask, &Request::default())
    });
    assert!(written.is_ok());
    result.unwrap()
}

#[test]
fn a_whole_answer_is_read() {
    let body = json!({
        "id": "x", "model": "gpt-4o-2024", "system_fingerprint": "fp",
        "choices": [{"index": 0, "finish_reason": "stop", "logprobs": null, "message": {
            "role": "assistant", "content": "Hi", "refusal": null, "reasoning_content": "hm",
            "tool_calls": [{"id": "c", "type": "function",
                "function": {"name": "f", "arguments": "{\"a\":1}"}}]}}],
        "citations": ["https://e.example"],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4,
            "completion_tokens_details": {"reasoning_tokens": 2}},
    });
    let answer = ask(|ask| OpenAi.read_chat(ask, body.to_string().as_bytes())).unwrap();
    let Answer { choices, usage, .. } = &answer;
    let [Choice { parts, finish, .. }] = &choices[..] else {
        panic!()
    };
    assert_eq!(finish, &Some(Finish::ToolCalls));
    assert!(matches!(&parts[0], Part::Thinking(thinking) if thinking.text == "hm"));
    assert!(
        matches!(&parts[1], Part::Text(Text { text, annotations, .. })
        if text == "Hi" && annotations.len() == 1)
    );
    assert!(matches!(&parts[2], Part::Call(call) if call.arguments == "{\"a\":1}"));
    assert_eq!(usage.unwrap().reasoning, 2);
    assert_eq!(answer.rest["system_fingerprint"], "fp");
    assert!(ask(|ask| OpenAi.read_chat(ask, b"{}")).is_err());
}

const STREAM: &str = concat!(
    ": note\n\n",
    "data: {\"id\":\"x\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
    "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"hm\"}}]}\r\n\r\n",
    "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hé\u{2028}\"}}]}\n\n",
    "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}]}\n\n",
    "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{}\"}}]}}]}\n\n",
    "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":1,\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]}}]}\n\n",
    "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n",
    "data: {\"id\":\"x\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n",
    "data: [DONE]\n\n",
);

#[test]
fn a_stream_is_the_same_wherever_it_is_cut() {
    let decoder = || ask(|ask| OpenAi.decoder(ask));
    let (whole, end) = decoded(decoder(), STREAM, 0);
    assert_eq!(end, Ok(()));
    let deltas: Vec<_> = whole
        .iter()
        .filter_map(|event| match event {
            Event::Delta { delta, .. } => Some(delta),
            _ => None,
        })
        .collect();
    let call = |index, id: &str, name: &str| Delta::Call {
        index,
        id: id.into(),
        name: name.into(),
        signature: None,
    };
    let arguments = |index| Delta::Arguments {
        index,
        text: "{}".into(),
    };
    let expected = [
        Delta::Thinking("hm".into()),
        Delta::Text("Hé\u{2028}".into()),
        call(0, "a", "f"),
        arguments(0),
        call(1, "b", "g"),
        arguments(1),
    ];
    assert_eq!(deltas, expected.iter().collect::<Vec<_>>());
    assert!(matches!(
        &whole[..],
        [Event::Start { .. }, .., Event::Usage(_)]
    ));
    for cut in 0..=STREAM.len() {
        assert_eq!(
            decoded(decoder(), STREAM, cut),
            (whole.clone(), Ok(())),
            "cut at {cut}"
        );
    }
}

#[test]
fn a_stream_that_is_cut_short_is_told_so() {
    let finish = STREAM
        .find("data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{},")
        .unwrap();
    let cut = &STREAM[..finish];
    let decoder = ask(|ask| OpenAi.decoder(ask));
    assert_eq!(decoded(decoder, cut, 0).1, Err(Broken::Cut));
    let told = "data: {\"error\":{\"message\":\"no\",\"code\":429}}\n\n";
    let decoder = ask(|ask| OpenAi.decoder(ask));
    let Err(Broken::Told(told)) = decoded(decoder, told, 0).1 else {
        panic!()
    };
    assert_eq!(told.status.unwrap(), 429);
}

#[test]
fn calls_without_a_place_are_told_apart_by_their_names() {
    let stream = concat!(
        "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"b\",\"function\":{\"name\":\"f\",\"arguments\":\"[\"}}]}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":\"]\"}}]},\"finish_reason\":\"stop\"}]}\n\n",
    );
    let decoder = ask(|ask| OpenAi.decoder(ask));
    let (events, end) = decoded(decoder, stream, 0);
    assert_eq!(end, Ok(()));
    let pieces: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Delta {
                delta: Delta::Arguments { index, text },
                ..
            } => Some((*index, text.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(pieces, [(0, "{}"), (1, "["), (1, "]")]);
    assert!(matches!(
        events.last(),
        Some(Event::Finish {
            finish: Finish::ToolCalls,
            ..
        })
    ));
}
