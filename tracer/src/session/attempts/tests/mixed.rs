//! Attempts of many clients at once, which never mix.

use proptest::prelude::*;

use super::*;

/// What a client may do to log in once.
#[derive(Clone, Copy, Debug)]
enum Way {
    Plain,
    Race,
    Refused,
    Redirected,
    LookedUp,
}

/// The steps of an attempt, in their order: when, which, of which of its connections.
fn steps(way: Way) -> &'static [(u64, char, u8)] {
    match way {
        Way::Plain => &[(0, 'o', 0), (1, 'b', 0), (5, 's', 0)],
        Way::Race => &[
            (0, 'o', 0),
            (0, 'o', 1),
            (1, 'a', 0),
            (2, 'l', 1),
            (3, 'b', 0),
            (7, 's', 0),
        ],
        Way::Refused => &[
            (0, 'o', 0),
            (1, 'r', 0),
            (2, 'o', 1),
            (3, 'b', 1),
            (9, 's', 1),
        ],
        Way::Redirected => &[
            (0, 'o', 0),
            (1, 'b', 0),
            (4, 'd', 0),
            (5, 'o', 1),
            (6, 'b', 1),
            (9, 's', 1),
        ],
        Way::LookedUp => &[(2, 'q', 0), (3, 'o', 0), (4, 'b', 0), (9, 's', 0)],
    }
}

/// Attempts of clients that each do one thing at a time, all mixed.
fn mixed(ways: &[(Way, u64)]) {
    let mut all: Vec<_> = ways
        .iter()
        .enumerate()
        .flat_map(|(number, (way, start))| {
            let each = steps(*way).iter().enumerate();
            each.map(move |(place, (at, what, which))| {
                (
                    start * 100_000 + at * MILLISECOND,
                    number,
                    place,
                    *what,
                    *which,
                )
            })
        })
        .collect();
    all.sort_unstable();
    let mut lived = Lived::default();
    let mut handles = vec![[0; 2]; ways.len()];
    for (at, number, _, what, which) in all {
        let client = number as u8 + 20;
        // Redirects and lookups lead to another port.
        let port = match (ways[number].0, which) {
            (Way::Redirected, 1) | (Way::LookedUp, _) => 1500,
            _ => 1433,
        };
        let handle = &mut handles[number][usize::from(which)];
        match what {
            'o' => *handle = lived.opens(client, server(2 + which, port), at),
            'a' => lived.accepted(*handle, at),
            'b' => lived.begins(*handle, at),
            'q' => lived.looked_up(client, "A", &[(2, 1500)], at),
            'd' => drop(lived.ends(*handle, Ends::sent_to((Some(address(3)), 1500)), at)),
            'r' => drop(lived.ends(*handle, Ends::as_(Outcome::Refused), at)),
            'l' => drop(lived.ends(*handle, Ends::silent(Outcome::Aborted), at)),
            _ => drop(lived.succeeds(*handle, at)),
        }
    }
    let mut told: Vec<_> = lived.told().into_iter().map(|(all, _)| all).collect();
    told.sort_unstable();
    let mut expected: Vec<Vec<_>> = handles
        .into_iter()
        .map(|both| both.into_iter().filter(|handle| *handle > 0).collect())
        .collect();
    for all in &mut expected {
        all.sort_unstable();
    }
    expected.sort_unstable();
    assert_eq!(told, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn two_hundred_attempts_of_as_many_clients_never_mix(
        ways in proptest::collection::vec(
            (
                prop_oneof![
                    Just(Way::Plain),
                    Just(Way::Race),
                    Just(Way::Refused),
                    Just(Way::Redirected),
                    Just(Way::LookedUp),
                ],
                0_u64..200,
            ),
            200,
        )
    ) {
        mixed(&ways);
    }
}
