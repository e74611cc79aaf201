//! The Fallback Page form: the HTML that clients get when no real server is left.

use super::{
    edit::{Object, Standing, Typed, Values},
    form::{Field, Section},
};
use lb_model::{Config, FallbackPage};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FallbackPageForm;

impl Object for FallbackPageForm {
    fn title(&self) -> String {
        "Fallback Page".into()
    }

    fn name(&self) -> String {
        self.title()
    }

    fn standing(&self, config: &Config) -> Standing {
        // As a browser gives it back: a text area knows one kind of line end.
        let page = config.fallback_page.as_ref().map_or_else(String::new, |p| p.as_str().replace("\r\n", "\n"));
        Standing::There(Values::from([("page", page)]))
    }

    fn sections(&self, _: &Config, _: &Values) -> Vec<Section> {
        let page = Field::area("page", "Page (HTML)", "fallback-page", 20)
            .placeholder("<!doctype html>")
            .hint("Served as it stands, for every address asked. Empty: the page that was shipped");
        vec![Section::new("", vec![page])]
    }

    fn pointer(&self, _: &Config) -> Option<String> {
        Some("/fallback_page".into())
    }

    fn write(&self, config: &mut Config, typed: &mut Typed) -> String {
        typed.put("page", &mut config.fallback_page, |text| {
            Ok::<_, String>(Some(text).filter(|t| !t.trim().is_empty()).map(FallbackPage::new))
        });
        "/fallback_page".into()
    }

    fn field_at(&self, tail: &str) -> Option<&'static str> {
        tail.is_empty().then_some("page")
    }

    fn verbatim(&self) -> &'static [&'static str] {
        &["page"]
    }
}
