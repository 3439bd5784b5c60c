<?php
// As Laravel 11 reads .env (Illuminate\Support\Env), and makes a transport of config/mail.php
// (MailManager::createSmtpTransport).
use Dotenv\Dotenv;
use Dotenv\Repository\Adapter\PutenvAdapter;
use Dotenv\Repository\RepositoryBuilder;
use Symfony\Component\Mailer\Mailer;
use Symfony\Component\Mailer\Transport\Dsn;
use Symfony\Component\Mailer\Transport\Smtp\EsmtpTransportFactory;
use Symfony\Component\Mime\Email;

require '/usr/share/php/Dotenv/autoload.php';
require '/usr/share/php/Symfony/Component/Mailer/autoload.php';

$repository = RepositoryBuilder::createWithDefaultAdapters()->addAdapter(PutenvAdapter::class)
    ->immutable()->make();
Dotenv::create($repository, __DIR__)->load();
$env = fn ($name) => $repository->get($name) ?? exit(2);
$env('MAIL_MAILER') === 'smtp' || exit(3);
$dsn = new Dsn($env('MAIL_SCHEME'), $env('MAIL_HOST'), $env('MAIL_USERNAME'), $env('MAIL_PASSWORD'),
    (int) $env('MAIL_PORT'));
(new Mailer((new EsmtpTransportFactory())->create($dsn)))->send((new Email())
    ->from($env('MAIL_FROM_ADDRESS'))->to($argv[1])->subject('A test mail')->text('It works.'));
