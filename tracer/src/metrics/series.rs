//! Metrics of one name that are told apart by labels, of which there are never too many.

use std::{collections::HashMap, fmt::Debug, hash::Hash};

use foldhash::fast::RandomState;
use prometheus_client::{
    encoding::{
        EncodeLabelSet, EncodeMetric, prometheus_protobuf::prometheus_data_model::LabelPair,
    },
    metrics::{
        TypedMetric,
        family::{Family, MetricConstructor},
    },
    registry::{Registry, Unit},
};

/// As many series has a name at most, those that stand for others not counted.
pub(super) const MOST: usize = 1_000;
/// Series in which nothing happened for so many turns are given up.
const TURNS: u32 = 60;

/// What tells series of one name apart.
pub(super) trait Labels:
    Clone + Debug + Eq + Hash + EncodeLabelSet + Send + Sync + 'static
{
    /// The same, without what there may be too many of.
    fn folded(&self) -> Self;

    /// Those that were encoded like this.
    fn of(pairs: &[LabelPair]) -> Self;
}

/// The series of one name.
#[derive(Debug)]
pub(super) struct Series<L, M, C = fn() -> M> {
    family: Family<L, M, C>,
    /// In which turn each was last touched.
    touched: HashMap<L, u32, RandomState>,
    turn: u32,
    most: usize,
    /// How often there was no room for a series of its own.
    folded: u64,
}

impl<L, M, C> Series<L, M, C>
where
    L: Labels,
    M: TypedMetric + EncodeMetric + Clone + Debug + Send + Sync + 'static,
    C: MetricConstructor<M> + Clone + Send + Sync + 'static,
{
    /// None yet; each new one is made by `constructor`.
    pub(super) fn new(constructor: C) -> Self {
        Self {
            family: Family::new_with_constructor(constructor),
            touched: HashMap::default(),
            turn: 0,
            most: MOST,
            folded: 0,
        }
    }

    /// From now on the registry tells them.
    pub(super) fn register(&self, registry: &mut Registry, name: &str, help: &str) {
        registry.register(name, help, self.family.clone());
    }

    /// The same, of seconds: the unit is added to the name.
    pub(super) fn register_seconds(&self, registry: &mut Registry, name: &str, help: &str) {
        registry.register_with_unit(name, help, Unit::Seconds, self.family.clone());
    }

    /// The same, of bytes.
    pub(super) fn register_bytes(&self, registry: &mut Registry, name: &str, help: &str) {
        registry.register_with_unit(name, help, Unit::Bytes, self.family.clone());
    }

    /// Changes the one with these labels.
    pub(super) fn with<T>(&mut self, labels: L, change: impl FnOnce(&M) -> T) -> T {
        let labels = if self.touched.contains_key(&labels) || self.touched.len() < self.most {
            labels
        } else {
            self.folded += 1;
            labels.folded()
        };
        let changed = change(&self.family.get_or_create(&labels));
        self.touched.insert(labels, self.turn);
        changed
    }

    /// Gives up those in which nothing happened for long.
    pub(super) fn turn(&mut self) {
        self.turn += 1;
        let Self {
            family,
            touched,
            turn,
            ..
        } = self;
        touched.retain(|labels, last| {
            let stays = turn.saturating_sub(*last) < TURNS;
            if !stays {
                family.remove(labels);
            }
            stays
        });
    }

    /// Looks a series up by its labels, as long as it is there.
    pub(super) fn finder(&self) -> impl Fn(&[LabelPair]) -> Option<M> + Send + Sync + 'static {
        let family = self.family.clone();
        move |pairs| family.get(&L::of(pairs)).map(|metric| metric.clone())
    }

    /// How often there was no room for a series of its own.
    pub(super) fn folded(&self) -> u64 {
        self.folded
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;
    use crate::metrics::labels::OfSide;

    fn side(server: usize) -> OfSide {
        OfSide {
            server: server.to_string(),
            side: "client".to_owned(),
        }
    }

    fn told(registry: &Registry) -> String {
        let mut text = String::new();
        prometheus_client::encoding::prometheus_text::encode(&mut text, registry).expect("text");
        text
    }

    #[test]
    fn beyond_the_bound_all_others_are_one_series_and_counted() {
        let mut series: Series<OfSide, Counter> = Series::new(Counter::default);
        let mut registry = Registry::default();
        series.register(&mut registry, "x", "X");
        for server in 0..MOST + 50 {
            series.with(side(server), Counter::inc);
        }
        series.with(side(0), Counter::inc);
        let text = told(&registry);
        assert!(
            text.contains("x_total{server=\"other\",side=\"client\"} 50\n"),
            "{text}"
        );
        assert!(text.contains("x_total{server=\"0\",side=\"client\"} 2\n"));
        assert_eq!(text.matches("x_total{").count(), MOST + 1);
        assert_eq!(series.folded(), 50);
    }

    #[test]
    fn what_nothing_happens_in_is_given_up_and_makes_room() {
        let mut series: Series<OfSide, Counter> = Series::new(Counter::default);
        let mut registry = Registry::default();
        series.register(&mut registry, "x", "X");
        series.with(side(1), Counter::inc);
        for turn in 0..TURNS {
            series.with(side(2), Counter::inc);
            assert_eq!(
                told(&registry).contains("server=\"1\""),
                turn < TURNS,
                "{turn}"
            );
            series.turn();
        }
        let text = told(&registry);
        assert!(
            !text.contains("server=\"1\"") && text.contains("server=\"2\""),
            "{text}"
        );
    }
}
