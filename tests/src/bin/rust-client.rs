//! One login and one query by a driver written in Rust by others.

use std::future::Future;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use mssql_tds::connection::client_context::{
    ClientContext, EntraIdTokenFactory, TdsAuthenticationMethod,
};
use mssql_tds::connection::tds_client::{ExecuteOptions, ResultSet};
use mssql_tds::connection_provider::tds_connection_provider::TdsConnectionProvider;
use mssql_tds::core::{EncryptionSetting, TdsResult};
use tiberius::{AuthMethod, Client, Config, EncryptionLevel, IntoRow};
use tokio::net::TcpStream;
use tokio_util::compat::TokioAsyncWriteCompatExt;

/// What to connect with, where to, and how.
#[derive(Parser)]
#[command(about)]
struct Options {
    /// The driver that logs in.
    #[arg(long, value_enum)]
    driver: Driver,
    /// Address or name of the server.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Port of the server.
    #[arg(long, default_value_t = 1433)]
    port: u16,
    /// Encryption to ask for.
    #[arg(long, value_enum, default_value = "off")]
    encrypt: Encrypt,
    /// How to prove who logs in.
    #[arg(long, value_enum, default_value = "sql")]
    auth: Auth,
    /// User name of SQL authentication.
    #[arg(long, default_value = "sa")]
    user: String,
    /// Password of SQL authentication, or the token.
    #[arg(long, default_value = "secret")]
    password: String,
    /// Who is asked for the token; of `token-on-demand` only.
    #[arg(long)]
    token_from: Option<String>,
    /// The server's certificate, which TDS 8.0 checks whatever one says.
    #[arg(long)]
    certificate: Option<PathBuf>,
    /// What to ask of the certificate; these drivers ask for the name, too, or for nothing.
    #[arg(long, value_enum, default_value = "as-ever")]
    check: Check,
    /// Seconds that a login may take; of mssql-tds only.
    #[arg(long, default_value_t = 15)]
    timeout: u32,
    /// What to do before the query.
    #[arg(long, value_enum, default_value = "query")]
    errand: Errand,
    /// What to ask once logged in.
    #[arg(long, default_value = "SELECT 1")]
    query: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Driver {
    MssqlTds,
    Tiberius,
}

#[derive(Clone, Copy, ValueEnum)]
enum Encrypt {
    None,
    Off,
    On,
    Strict,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Check {
    AsEver,
    Issuer,
    Name,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Auth {
    Sql,
    /// A token in the login packet.
    Token,
    /// A token fetched when the server says from where.
    TokenOnDemand,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Errand {
    Query,
    TimeOut,
    BulkLoad,
    Leave,
    Stay,
}

impl Errand {
    /// Whether all there is to do is to be connected for a while.
    async fn is_quiet(self) -> bool {
        if self == Self::Stay {
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        matches!(self, Self::Leave | Self::Stay)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    let rows = match options.driver {
        Driver::MssqlTds => mssql_tds(&options).await?,
        Driver::Tiberius => tiberius(&options).await?,
    };
    println!("rows {rows}");
    Ok(())
}

async fn mssql_tds(options: &Options) -> Result<usize> {
    let source = format!("tcp:{},{}", options.host, options.port);
    let mut context = ClientContext::with_data_source(&source);
    context.connect_timeout = options.timeout;
    context.encryption_options.trust_server_certificate = options.certificate.is_none();
    context
        .encryption_options
        .server_certificate
        .clone_from(&options.certificate);
    context.encryption_options.mode = match options.encrypt {
        Encrypt::None => bail!("mssql-tds cannot refuse encryption"),
        Encrypt::Off => EncryptionSetting::PreferOff,
        Encrypt::On => EncryptionSetting::Required,
        Encrypt::Strict => EncryptionSetting::Strict,
    };
    match options.auth {
        Auth::Sql => {
            context.user_name.clone_from(&options.user);
            context.password.clone_from(&options.password);
        }
        Auth::Token => {
            context.tds_authentication_method = TdsAuthenticationMethod::AccessToken;
            context.access_token = Some(options.password.clone());
        }
        Auth::TokenOnDemand => {
            let method = TdsAuthenticationMethod::ActiveDirectoryServicePrincipal;
            context.tds_authentication_method = method.clone();
            context.user_name.clone_from(&options.user);
            context.password.clone_from(&options.password);
            let token = FixedToken {
                token: options.password.clone(),
                from: options.token_from.clone(),
            };
            context.auth_method_map.insert(method, Box::new(token));
        }
    }
    let mut client = TdsConnectionProvider::new()
        .create_client(context, &source, None)
        .await
        .context("mssql-tds did not log in")?;
    if options.errand.is_quiet().await {
        client.close_connection().await?;
        return Ok(0);
    }
    match options.errand {
        Errand::Query | Errand::Leave | Errand::Stay => {}
        Errand::TimeOut => {
            let patience = ExecuteOptions::new().timeout_secs(1);
            let slow = client
                .execute("WAITFOR DELAY '00:00:10'".to_owned(), patience)
                .await;
            anyhow::ensure!(slow.is_err(), "not given up");
        }
        Errand::BulkLoad => bail!("not asked of mssql-tds"),
    }
    client.execute(options.query.clone(), ()).await?;
    let mut rows = 0;
    while client.on_rows() && client.next_row().await?.is_some() {
        rows += 1;
    }
    client.close_query().await?;
    client.close_connection().await?;
    Ok(rows)
}

/// Asks the service that issues tokens, or stands for it.
#[derive(Clone)]
struct FixedToken {
    token: String,
    from: Option<String>,
}

impl EntraIdTokenFactory for FixedToken {
    fn create_token<'life, 'future>(
        &'life self,
        _spn: String,
        _sts_url: String,
        _method: TdsAuthenticationMethod,
    ) -> Pin<Box<dyn Future<Output = TdsResult<Vec<u8>>> + Send + 'future>>
    where
        'life: 'future,
        Self: 'future,
    {
        if let Some(from) = &self.from
            && let Err(error) = ask(from)
        {
            eprintln!("{from}: {error}");
        }
        let token = self
            .token
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        Box::pin(async move { Ok(token) })
    }
}

/// Asks a web server, `http://ADDRESS/PATH`, and reads its answer to the end.
fn ask(url: &str) -> std::io::Result<()> {
    let rest = url.trim_start_matches("http://");
    let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut server = std::net::TcpStream::connect((address, 80))?;
    write!(
        server,
        "GET /{path} HTTP/1.1\r\nHost: {address}\r\nMetadata: true\r\n\r\n"
    )?;
    server.read_to_end(&mut Vec::new())?;
    Ok(())
}

async fn tiberius(options: &Options) -> Result<usize> {
    let mut config = Config::new();
    config.host(&options.host);
    config.port(options.port);
    match &options.certificate {
        Some(path) if options.check != Check::AsEver => config.trust_cert_ca(path.display()),
        _ => config.trust_cert(),
    }
    config.encryption(match options.encrypt {
        Encrypt::None => EncryptionLevel::NotSupported,
        Encrypt::Off => EncryptionLevel::Off,
        Encrypt::On => EncryptionLevel::Required,
        Encrypt::Strict => EncryptionLevel::Strict,
    });
    config.authentication(match options.auth {
        Auth::Sql => AuthMethod::sql_server(&options.user, &options.password),
        Auth::Token => AuthMethod::aad_token(&options.password),
        Auth::TokenOnDemand => bail!("tiberius only sends a token it already has"),
    });
    let tcp = TcpStream::connect((options.host.as_str(), options.port)).await?;
    tcp.set_nodelay(true)?;
    let mut client = Client::connect(config, tcp.compat_write())
        .await
        .context("tiberius did not log in")?;
    if options.errand.is_quiet().await {
        client.close().await?;
        return Ok(0);
    }
    match options.errand {
        Errand::Query | Errand::Leave | Errand::Stay => {}
        Errand::TimeOut => bail!("tiberius cannot take a request back"),
        Errand::BulkLoad => {
            let mut load = client.bulk_insert("target").await?;
            for value in [1_i32, 2] {
                load.send(value.into_row()).await?;
            }
            load.finalize().await?;
        }
    }
    let rows = client
        .simple_query(options.query.as_str())
        .await?
        .into_first_result()
        .await?
        .len();
    client.close().await?;
    Ok(rows)
}
