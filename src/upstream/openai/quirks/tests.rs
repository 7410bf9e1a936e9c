use serde_json::json;

use super::*;

#[test]
fn what_a_vendor_says_it_cost_is_read_exactly() {
    for (vendor, usage, cost) in [
        (Vendor::OpenRouter, r#"{"cost":0.00014}"#, Some(140_000_000)),
        (Vendor::OpenRouter, r#"{"cost":1.4e-5}"#, Some(14_000_000)),
        (Vendor::OpenRouter, r#"{"cost":-1}"#, None),
        (Vendor::OpenRouter, r#"{"cost":1e30}"#, None),
        (Vendor::OpenRouter, r#"{"cost":null}"#, None),
        (
            Vendor::Perplexity,
            r#"{"cost":{"total_cost":0.006}}"#,
            Some(6_000_000_000),
        ),
        (
            Vendor::Xai,
            r#"{"cost_in_usd_ticks":37756000}"#,
            Some(3_775_600_000),
        ),
        (
            Vendor::Xai,
            r#"{"cost_in_usd_ticks":18446744073709551615}"#,
            None,
        ),
        (Vendor::Groq, r#"{"cost":1}"#, None),
    ] {
        assert_eq!(vendor.cost(usage.as_bytes()), cost.map(Usd), "{usage}");
    }
}

#[test]
fn an_answer_that_is_openais_stays_as_it_is() {
    let answer = br#"{"choices":[{"message":{"content":"a","reasoning_content":"b"}}]}"#;
    for vendor in [Vendor::OpenAi, Vendor::Other, Vendor::Xai, Vendor::Mistral] {
        assert_eq!(vendor.mend(answer), None, "{vendor:?}");
    }
    let own = br#"{"choices":[{"delta":{"reasoning":"b"}}]}"#;
    assert_eq!(Vendor::OpenAi.mend(own), None);
    let mended: Value = serde_json::from_slice(&Vendor::Other.mend(own).unwrap()).unwrap();
    assert_eq!(
        mended["choices"][0]["delta"],
        json!({"reasoning": "b", "reasoning_content": "b"})
    );
}

#[test]
fn nonsense_is_left_to_whoever_reads_it() {
    for text in [
        "",
        "[]",
        "{",
        r#"{"choices":"reasoning"}"#,
        r#"{"choices":[1,{"delta":2}]}"#,
    ] {
        let text = format!("{text}/\"reasoning\"");
        for vendor in [
            Vendor::Mistral,
            Vendor::Xai,
            Vendor::OpenRouter,
            Vendor::Other,
        ] {
            assert_eq!(vendor.mend(text.as_bytes()), None, "{text}");
            assert_eq!(vendor.failed(text.as_bytes()), None, "{text}");
            assert_eq!(vendor.cost_of(text.as_bytes()), None, "{text}");
        }
    }
}
