//! Call stacks: folded, and as a flame graph.

use std::io;

use inferno::flamegraph::{self, Options};

/// Returns folded stacks as a file: a line for each.
pub fn folded(lines: &[String]) -> Vec<u8> {
    let mut text = lines.join("\n");
    text.push('\n');
    text.into_bytes()
}

/// Returns a flame graph of folded stacks, as an SVG that needs no other files. The width of a function is its number of
/// instructions.
///
/// # Errors
///
/// There is no stack with an instruction.
pub fn flame_graph(lines: &[String]) -> io::Result<Vec<u8>> {
    let mut options = Options::default();
    options.title = "Instructions by call stack".into();
    options.count_name = "instructions".into();
    let mut svg = Vec::new();
    flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), &mut svg)?;
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use quick_xml::events::Event;

    use super::*;

    const LINES: [&str; 3] = ["vm;main 10", "vm;main;f<T> & <script>\"' 30", "vm;main;g h 5"];

    #[test]
    fn a_graph_has_every_function_and_no_name_is_markup() {
        let lines = LINES.map(String::from);
        assert_eq!(folded(&lines), LINES.map(|line| format!("{line}\n")).concat().into_bytes());
        let svg = String::from_utf8(flame_graph(&lines).expect("stacks")).expect("text");
        for part in
            ["main (45 instructions, 100.00%)", "g h (5 instructions", "f&lt;T&gt; &amp; &lt;script&gt;"]
        {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert!(flame_graph(&[]).is_err());
    }

    #[test]
    fn a_graph_is_xml_whatever_the_names() {
        let names = ["<a>", "]]>", "&amp;", "-->", "'\"", "\u{FFFE}\u{FFFF}", "ä→\\x1b"];
        let lines = names.map(|name| format!("vm;{name} 7")).to_vec();
        let svg = flame_graph(&lines).expect("stacks");
        let mut reader = quick_xml::Reader::from_reader(&svg[..]);
        let (mut elements, mut depth) = (0, 0);
        loop {
            match reader.read_event_into(&mut Vec::new()).expect("XML") {
                Event::Start(_) => (elements, depth) = (elements + 1, depth + 1),
                Event::End(_) => depth -= 1,
                Event::Text(text) => {
                    text.xml_content(quick_xml::XmlVersion::Implicit1_0).expect("text");
                }
                Event::Eof => break,
                _ => {}
            }
        }
        assert!(elements > 2 * names.len() && depth == 0, "{elements}");
    }
}
